// Shared by the files of activations: sums over lanes, the exponential, and functions for all instruction sets.
#ifndef RESECT_ACTIVATIONS_H
#define RESECT_ACTIVATIONS_H

#include "half.h"
#include <math.h>

#pragma STDC FP_CONTRACT ON

// Sums run over sixteen lanes, so that compilers can vectorize loops without reordering additions.
#define LANES 16

BODY float sum_of_lanes(float *lanes) {
    for (int half = LANES / 2; half; half /= 2)
        for (int l = 0; l < half; l++) lanes[l] += lanes[l + half];
    return lanes[0];
}

BODY double sum_of_double_lanes(double *lanes) {
    for (int half = LANES / 2; half; half /= 2)
        for (int l = 0; l < half; l++) lanes[l] += lanes[l + half];
    return lanes[0];
}

// e^x to about one unit in the last place: x = n ln 2 + r, a polynomial of degree six in r, n into the exponent. Below -87
// it is 0, and above 88 it is e^88.
BODY float exponential(float x) {
    const float bounded = x > 88.0f ? 88.0f : x < -87.0f ? -87.0f : x;
    const float n = (bounded * 1.44269504f + 12582912.0f) - 12582912.0f;
    const float r = (bounded - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    const float result = p * float_of((uint32_t)((int32_t)n + 127) << 23);
    return x < -87.0f ? 0.0f : result;
}

// Compiles a function for every instruction set, and makes resect_NAME, which calls the one for the best of them.
#define EACH_LEVEL(result, name, parameters, arguments)                                                                \
    typedef result(*name##_fn) parameters;                                                                             \
    EACH_LEVEL_(result, name, parameters, arguments)                                                                   \
    result resect_##name parameters { return name##_levels[resect_best_level()] arguments; }
#if defined(__x86_64__)
#define EACH_LEVEL_(result, name, parameters, arguments)                                                               \
    static result name##_baseline parameters { return name arguments; }                                                \
    TARGET_V3 static result name##_v3 parameters { return name arguments; }                                            \
    TARGET_V4 static result name##_v4 parameters { return name arguments; }                                            \
    static const name##_fn name##_levels[RESECT_LEVELS] = {name##_baseline, name##_v3, name##_v4};
#else
#define EACH_LEVEL_(result, name, parameters, arguments)                                                               \
    static result name##_baseline parameters { return name arguments; }                                                \
    static const name##_fn name##_levels[1] = {name##_baseline};
#endif

#endif
