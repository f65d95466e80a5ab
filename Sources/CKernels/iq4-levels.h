// The sixteen values of IQ4_NL and IQ4_XS.
#ifndef RESECT_IQ4_LEVELS_H
#define RESECT_IQ4_LEVELS_H

#include <stdint.h>

static const int8_t iq4_levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

#endif
