// The search for a scale of codes from -reach to reach - 1, as ggml's make_qx_quants and make_q3_quants do it.
#ifndef RESECT_SEARCH_SYMMETRIC_H
#define RESECT_SEARCH_SYMMETRIC_H

#include "lanes.h"

// A code is its element times `code_scale`, rounded; in a lane that is zero it is the lowest one.
typedef struct {
    f32x16 scale, code_scale;
    i32x16 empty;
} symmetric_result;

#define SYMMETRIC_CODE(x, result, reach)                                                                               \
    CHOOSE((result).empty, (f32x16){} - (float)(reach),                                                                \
           BOUNDED_NEAREST((result).code_scale * (x), -(reach), (reach) - 1))

// The element of largest magnitude in every lane, with its sign; of several, the first. Tells which lanes are zero.
BODY void find_extremes(const f32x16 *x, const int size, f32x16 *extreme, i32x16 *empty) {
    f32x16 largest = {}, found = {};
    for (int i = 0; i < size; i++) {
        const f32x16 magnitude = ABSOLUTE(x[i]);
        const i32x16 larger = magnitude > largest;
        largest = CHOOSE(larger, magnitude, largest);
        found = CHOOSE(larger, x[i], found);
    }
    *extreme = found;
    *empty = largest < NOTHING;
}

// The first trial takes the plain scale and accepts it whatever comes out; eighteen more lie around it.
BODY void search_symmetric(const f32x16 *x, const f32x16 *w, const int size, const int reach,
                           symmetric_result *result) {
    f32x16 extreme, wx[32];
    find_extremes(x, size, &extreme, &result->empty);
    for (int i = 0; i < size; i++) wx[i] = w[i] * x[i];
    f32x16 code_scale = (float)-reach / extreme, scale = {}, best = {};
    for (int step = -10; step <= 9; step++) {
        if (step == 0) continue;
        const int is_first = step == -10;
        const f32x16 inverse = is_first ? code_scale : -((float)reach + 0.1f * (float)step) / extreme;
        f32x16 sum_lx = {}, sum_l2 = {};
        for (int i = 0; i < size; i++) {
            const f32x16 code = BOUNDED_NEAREST(inverse * x[i], -reach, reach - 1);
            sum_lx += wx[i] * code;
            sum_l2 += w[i] * code * code;
        }
        const f32x16 ratio = sum_lx / sum_l2;
        if (is_first) {
            scale = CHOOSE(sum_l2 != 0.0f, ratio, (f32x16){});
            best = scale * sum_lx;
            continue;
        }
        const i32x16 better = (sum_l2 > 0.0f) & (sum_lx * sum_lx > best * sum_l2);
        code_scale = CHOOSE(better, inverse, code_scale);
        scale = CHOOSE(better, ratio, scale);
        best = CHOOSE(better, ratio * sum_lx, best);
    }
    result->scale = CHOOSE(result->empty, (f32x16){}, scale);
    result->code_scale = code_scale;
}

// Groups of lanes that are searched in turn: a step depends on the one before it, and those of other groups fill the wait.
enum { GROUPS = 4 };

// Tries codes instead of scales: each code moves to what is best given the others, as long as that lowers the error. The
// codes are written with `reach` added, and as 0 in lanes that are zero.
BODY void search_by_codes(const f32x16 (*x)[16], const int reach, f32x16 *scale, f32x16 (*codes)[16]) {
    f32x16 sum_lx[GROUPS], sum_l2[GROUPS];
    i32x16 empty[GROUPS];
    for (int g = 0; g < GROUPS; g++) {
        f32x16 extreme, lx = {}, l2 = {};
        find_extremes(x[g], 16, &extreme, &empty[g]);
        const f32x16 inverse = (float)-reach / extreme;
        for (int i = 0; i < 16; i++) {
            const f32x16 w = x[g][i] * x[g][i], code = BOUNDED_NEAREST(inverse * x[g][i], -reach, reach - 1);
            codes[g][i] = code;
            lx += w * x[g][i] * code;
            l2 += w * code * code;
        }
        sum_lx[g] = lx, sum_l2[g] = l2;
    }
    // A round that changes nothing in a lane leaves it as it is, so that no lane must stop before the others.
    for (int round = 0; round < 5; round++) {
        i32x16 changed = {};
        for (int i = 0; i < 16; i++)
            for (int g = 0; g < GROUPS; g++) {
                const f32x16 v = x[g][i], w = v * v, l = codes[g][i];
                f32x16 lx = sum_lx[g] - w * v * l, l2 = sum_l2[g] - w * l * l;
                const f32x16 m = BOUNDED_NEAREST(v * l2 / lx, -reach, reach - 1);
                i32x16 better = (lx > 0.0f) & (m != l);
                lx += w * v * m;
                l2 += w * m * m;
                better &= (l2 > 0.0f) & (lx * lx * sum_l2[g] > sum_lx[g] * sum_lx[g] * l2);
                codes[g][i] = CHOOSE(better, m, l);
                sum_lx[g] = CHOOSE(better, lx, sum_lx[g]);
                sum_l2[g] = CHOOSE(better, l2, sum_l2[g]);
                changed |= better;
            }
        if (!__builtin_reduce_or(changed)) break;
    }
    for (int g = 0; g < GROUPS; g++) {
        for (int i = 0; i < 16; i++) codes[g][i] = CHOOSE(empty[g], (f32x16){}, codes[g][i] + (float)reach);
        scale[g] = CHOOSE(~empty[g] & (sum_l2[g] > 0.0f), sum_lx[g] / sum_l2[g], (f32x16){});
    }
}

#endif
