// The search for scales of scales, or of minimums, as ggml's make_qp_quants does it. Lanes are super-blocks.
#ifndef RESECT_SEARCH_SCALES_H
#define RESECT_SEARCH_SCALES_H

#include "lanes.h"

// Finds codes from 0 to `greatest` for `count` scales in every lane, and the value of one step. Codes wrap to bytes where a
// scale is negative, as in ggml.
BODY void search_scales(const f32x16 *x, const f32x16 *w, const int count, const int greatest, f32x16 *step,
                        i32x16 *codes) {
    const i32x16 limit = (i32x16){} + greatest;
    f32x16 high = {};
    for (int i = 0; i < count; i++) high = CHOOSE(high > x[i], high, x[i]);
    const i32x16 empty = high < NOTHING;

    f32x16 inverse = (float)greatest / high, best = {};
    for (int i = 0; i < count; i++) {
        const i32x16 code = (NEAREST_BITS(inverse * x[i]) - ROUNDER_BITS) & 255;
        const f32x16 difference = x[i] - 1.0f / inverse * __builtin_convertvector(code, f32x16);
        best += w[i] * difference * difference;
    }
    for (int trial = -4; trial <= 4; trial++) {
        if (trial == 0) continue;
        const f32x16 this_inverse = (0.1f * (float)trial + (float)greatest) / high, scale = 1.0f / this_inverse;
        f32x16 error = {};
        for (int i = 0; i < count; i++) {
            const i32x16 code = __builtin_elementwise_min(NEAREST_BITS(this_inverse * x[i]) - ROUNDER_BITS, limit);
            const f32x16 difference = x[i] - scale * __builtin_convertvector(code, f32x16);
            error += w[i] * difference * difference;
        }
        const i32x16 better = error < best;
        best = CHOOSE(better, error, best);
        inverse = CHOOSE(better, this_inverse, inverse);
    }

    f32x16 sum_lx = {}, sum_l2 = {};
    for (int i = 0; i < count; i++) {
        const i32x16 code = __builtin_elementwise_min(NEAREST_BITS(inverse * x[i]) - ROUNDER_BITS, limit);
        const f32x16 l = __builtin_convertvector(code, f32x16);
        codes[i] = code & 255;
        sum_lx += w[i] * x[i] * l;
        sum_l2 += w[i] * l * l;
    }
    // A round that changes nothing in a lane leaves it as it is, so that no lane must stop before the others.
    for (int round = 0; round < 5; round++) {
        i32x16 changed = {};
        for (int i = 0; i < count; i++) {
            const f32x16 l = __builtin_convertvector(codes[i], f32x16);
            f32x16 lx = sum_lx - w[i] * x[i] * l, l2 = sum_l2 - w[i] * l * l;
            const i32x16 code = __builtin_elementwise_min(NEAREST_BITS(x[i] * l2 / lx) - ROUNDER_BITS, limit);
            const f32x16 m = __builtin_convertvector(code, f32x16);
            i32x16 better = (lx > 0.0f) & (l2 > 0.0f) & (code != codes[i]);
            lx += w[i] * x[i] * m;
            l2 += w[i] * m * m;
            better &= lx * lx * sum_l2 > sum_lx * sum_lx * l2;
            codes[i] = (better & code & 255) | (~better & codes[i]);
            sum_lx = CHOOSE(better, lx, sum_lx);
            sum_l2 = CHOOSE(better, l2, sum_l2);
            changed |= better;
        }
        if (!__builtin_reduce_or(changed)) break;
    }
    for (int i = 0; i < count; i++) codes[i] &= ~empty;
    *step = CHOOSE(~empty & (sum_l2 > 0.0f), sum_lx / sum_l2, (f32x16){});
}

#endif
