// The twelve bytes that Q4_K and Q5_K store eight 6-bit scales and eight 6-bit minimums in.
#ifndef RESECT_SUPERBLOCK_H
#define RESECT_SUPERBLOCK_H

#include "half.h"

BODY void load_scale_and_minimum(const uint8_t *fields, int j, uint8_t *scale, uint8_t *minimum) {
    if (j < 4) {
        *scale = fields[j] & 63;
        *minimum = fields[j + 4] & 63;
    } else {
        *scale = (uint8_t)((fields[j + 4] & 15) | (fields[j - 4] >> 6 << 4));
        *minimum = (uint8_t)((fields[j + 4] >> 4) | (fields[j] >> 6 << 4));
    }
}

BODY void store_scales_and_minimums(const uint8_t *scales, const uint8_t *minimums, uint8_t *fields) {
    for (int j = 0; j < 4; j++) {
        fields[j] = (uint8_t)(scales[j] | (scales[j + 4] >> 4 << 6));
        fields[j + 4] = (uint8_t)(minimums[j] | (minimums[j + 4] >> 4 << 6));
        fields[j + 8] = (uint8_t)((scales[j + 4] & 15) | ((minimums[j + 4] & 15) << 4));
    }
}

#endif
