// The search for the scale of IQ4's sixteen levels, as ggml's quantize_row_iq4_nl_impl does it.
#ifndef RESECT_SEARCH_LEVELS_H
#define RESECT_SEARCH_LEVELS_H

#include "iq4-levels.h"
#include "search-symmetric.h"

// The index of the nearest level is the number of midpoints between levels that do not exceed the value. ggml compares the
// distances to both neighbours; these are exact near a midpoint, so the result is the same. NaN gets the highest level.
static const float iq4_midpoints[15] = {-115.5f, -93.5f, -74,   -57,   -42, -28.5f, -16, -4.5f,
                                        7,       19,     31.5f, 45.5f, 61,  79,     101};

#define LEVEL_OF(v, level)                                                                                             \
    f32x16 level = (f32x16){} + (float)iq4_levels[15];                                                                 \
    _Pragma("clang loop unroll(full)") for (int m = 0; m < 15; m++) {                                                  \
        const f32x16 step = (f32x16){} + (float)(iq4_levels[m + 1] - iq4_levels[m]);                                   \
        level -= CHOOSE((v) < iq4_midpoints[m], step, (f32x16){});                                                     \
    }

// Multiplies the elements of each of sixteen blocks by its factor, and writes the indices of the nearest levels, block after
// block.
BODY void level_numbers(const f32x16 *x, const float *factors, uint8_t *codes) {
    f32x16 factor, numbers[32];
    memcpy(&factor, factors, sizeof factor);
    for (int i = 0; i < 32; i++) {
        const f32x16 exact = factor * x[i];
        i32x16 number = (i32x16){} + 15;
        for (int m = 0; m < 15; m++) number += exact < iq4_midpoints[m];
        numbers[i] = __builtin_convertvector(number, f32x16);
    }
    store_codes(numbers, 32, codes);
}

// The scale of every lane; 0 in lanes that are zero.
BODY void search_levels(const f32x16 *x, const f32x16 *w, f32x16 *result) {
    f32x16 extreme, scale = {}, best = {};
    i32x16 empty;
    find_extremes(x, 32, &extreme, &empty);
    // The first trial takes the plain scale and accepts it whatever comes out.
    for (int trial = -8; trial <= 7; trial++) {
        const int is_first = trial == -8;
        const f32x16 inverse = is_first ? 1.0f / (-extreme / -127.0f) : ((float)trial - 127.0f) / extreme;
        f32x16 sum_qx = {}, sum_q2 = {};
        for (int i = 0; i < 32; i++) {
            const f32x16 exact = inverse * x[i];
            LEVEL_OF(exact, q);
            const f32x16 weighted = w[i] * q;
            sum_qx += weighted * x[i];
            sum_q2 += weighted * q;
        }
        const f32x16 ratio = sum_qx / sum_q2;
        const i32x16 better = is_first ? sum_q2 > 0.0f : (sum_q2 > 0.0f) & (sum_qx * sum_qx > best * sum_q2);
        scale = CHOOSE(better, ratio, scale);
        best = is_first ? scale * sum_qx : CHOOSE(better, ratio * sum_qx, best);
    }
    *result = CHOOSE(empty, (f32x16){}, scale);
}

#endif
