// The twelve bytes that Q4_K and Q5_K pack eight 6-bit scales and eight 6-bit minimums into.
#ifndef RESECT_SUPERBLOCK_H
#define RESECT_SUPERBLOCK_H

#include "half.h"

BODY void unpack_scale_and_minimum(const uint8_t *packed, int j, uint8_t *scale, uint8_t *minimum) {
    if (j < 4) {
        *scale = packed[j] & 63;
        *minimum = packed[j + 4] & 63;
    } else {
        *scale = (uint8_t)((packed[j + 4] & 15) | (packed[j - 4] >> 6 << 4));
        *minimum = (uint8_t)((packed[j + 4] >> 4) | (packed[j] >> 6 << 4));
    }
}

BODY void pack_scales_and_minimums(const uint8_t *scales, const uint8_t *minimums, uint8_t *packed) {
    for (int j = 0; j < 4; j++) {
        packed[j] = (uint8_t)(scales[j] | (scales[j + 4] >> 4 << 6));
        packed[j + 4] = (uint8_t)(minimums[j] | (minimums[j + 4] >> 4 << 6));
        packed[j + 8] = (uint8_t)((scales[j + 4] & 15) | ((minimums[j + 4] & 15) << 4));
    }
}

#endif
