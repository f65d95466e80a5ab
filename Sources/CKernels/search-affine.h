// The search for a scale and a minimum, as ggml's make_qkx2_quants and make_qkx3_quants do it.
#ifndef RESECT_SEARCH_AFFINE_H
#define RESECT_SEARCH_AFFINE_H

#include "lanes.h"

// The inverse scales that are tried: (first + delta * step + greatest) / range for every step from 0 on.
typedef struct {
    int size, greatest;
    float first, delta;
    int steps;
    // Errors are added as magnitudes instead of squares.
    int is_absolute;
    // Codes of a step are bounded before they are rounded, and blocks without a positive range get the scale 0.
    int is_guarded;
} affine_plan;

// A code is made of its element, the scale and minimum it was found with, and whether a step found it.
typedef struct {
    f32x16 scale, minimum, sum_of_weights, code_scale, code_minimum;
    i32x16 stepped;
} affine_result;

#define STEP_CODE(v, greatest)                                                                                         \
    ({                                                                                                                 \
        const f32x16 value = (v), positive = CHOOSE(value > 0.0f, value, (f32x16){});                                  \
        const f32x16 bound = (f32x16){} + (greatest);                                                                  \
        (CHOOSE(positive < bound, positive, bound) + ROUNDER) - ROUNDER;                                               \
    })

BODY void search_affine(const f32x16 *x, const f32x16 *w, const affine_plan plan, affine_result *result) {
    const float greatest = (float)plan.greatest;
    f32x16 codes[32];
    f32x16 low = x[0], high = x[0], sum_w = w[0], sum_x = w[0] * x[0];
    for (int i = 1; i < plan.size; i++) {
        low = CHOOSE(x[i] < low, x[i], low);
        high = CHOOSE(x[i] > high, x[i], high);
        sum_w += w[i];
        sum_x += w[i] * x[i];
    }
    low = CHOOSE(low > 0.0f, (f32x16){}, low);
    const i32x16 flat = plan.is_guarded ? high <= low : high == low;

    f32x16 code_scale = greatest / (high - low), code_minimum = low, scale = 1.0f / code_scale, error = {};
    i32x16 stepped = {};
    for (int i = 0; i < plan.size; i++) {
        const f32x16 code = BOUNDED_NEAREST(code_scale * (x[i] - low), 0, plan.greatest);
        const f32x16 difference = scale * code + low - x[i];
        error += w[i] * (plan.is_absolute ? ABSOLUTE(difference) : difference * difference);
    }
    for (int step = 0; step <= plan.steps; step++) {
        // Once a step is accepted, its minimum is what the next ones measure from.
        const f32x16 inverse = (plan.first + plan.delta * (float)step + greatest) / (high - low);
        f32x16 sum_l = {}, sum_l2 = {}, sum_xl = {};
        for (int i = 0; i < plan.size; i++) {
            const f32x16 exact = inverse * (x[i] - low);
            const f32x16 code = plan.is_guarded ? STEP_CODE(exact, greatest) : BOUNDED_NEAREST(exact, 0, plan.greatest);
            const f32x16 weighted = w[i] * code;
            codes[i] = code;
            sum_l += weighted;
            sum_l2 += weighted * code;
            sum_xl += weighted * x[i];
        }
        const f32x16 determinant = sum_w * sum_l2 - sum_l * sum_l;
        f32x16 this_scale = (sum_w * sum_xl - sum_x * sum_l) / determinant;
        f32x16 this_low = (sum_l2 * sum_x - sum_l * sum_xl) / determinant;
        const i32x16 positive = this_low > 0.0f;
        this_low = CHOOSE(positive, (f32x16){}, this_low);
        this_scale = CHOOSE(positive, sum_xl / sum_l2, this_scale);
        f32x16 this_error = {};
        for (int i = 0; i < plan.size; i++) {
            const f32x16 difference = this_scale * codes[i] + this_low - x[i];
            this_error += w[i] * (plan.is_absolute ? ABSOLUTE(difference) : difference * difference);
        }
        const i32x16 better = (determinant > 0.0f) & (this_error < error);
        code_scale = CHOOSE(better, inverse, code_scale);
        code_minimum = CHOOSE(better, low, code_minimum);
        stepped |= better;
        error = CHOOSE(better, this_error, error);
        scale = CHOOSE(better, this_scale, scale);
        low = CHOOSE(better, this_low, low);
    }
    result->scale = CHOOSE(flat, (f32x16){}, scale);
    result->minimum = -CHOOSE(flat, code_minimum, low);
    result->sum_of_weights = sum_w;
    result->code_scale = CHOOSE(flat, (f32x16){}, code_scale);
    result->code_minimum = code_minimum;
    result->stepped = stepped;
}

// The codes that the search ended with.
#define AFFINE_CODE(x, result, plan)                                                                                   \
    ({                                                                                                                 \
        const f32x16 exact = (result).code_scale * ((x) - (result).code_minimum);                                      \
        const f32x16 first = BOUNDED_NEAREST(exact, 0, (plan).greatest);                                               \
        (plan).is_guarded ? CHOOSE((result).stepped, STEP_CODE(exact, (float)(plan).greatest), first) : first;         \
    })

#endif
