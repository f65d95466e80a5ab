// One body, compiled once for each level. Bodies are always inlined, so that they take the target of their caller.
// Vectors never cross a function boundary: their calling convention depends on the target.
#ifndef RESECT_VARIANTS_H
#define RESECT_VARIANTS_H

#include "CKernels.h"

// Contracted multiply-adds would make the levels differ, from each other and from ggml.
#pragma STDC FP_CONTRACT OFF

#define BODY static inline __attribute__((always_inline))

#if defined(__x86_64__)
#define LEVELS 3
#define TARGET_V3 __attribute__((target("arch=x86-64-v3")))
#define TARGET_V4 __attribute__((target("arch=x86-64-v4"), min_vector_width(512)))
#define VARIANTS(kind, name, parameters, arguments)                                                                    \
    static void name##_baseline parameters { name arguments; }                                                         \
    TARGET_V3 static void name##_v3 parameters { name arguments; }                                                     \
    TARGET_V4 static void name##_v4 parameters { name arguments; }                                                     \
    kind const resect_##name[RESECT_LEVELS] = {name##_baseline, name##_v3, name##_v4};
#else
#define VARIANTS(kind, name, parameters, arguments)                                                                    \
    static void name##_baseline parameters { name arguments; }                                                         \
    kind const resect_##name[RESECT_LEVELS] = {name##_baseline, name##_baseline, name##_baseline};
#endif

#define DECODER(name)                                                                                                  \
    VARIANTS(resect_decode_fn, name, (const void *restrict source, float *restrict output, size_t count),              \
             (source, output, count))
#define ENCODER(name)                                                                                                  \
    VARIANTS(resect_encode_fn, name,                                                                                   \
             (const float *restrict source, const float *restrict importance, void *restrict output, size_t rows,      \
              size_t row_length),                                                                                      \
             (source, importance, output, rows, row_length))
// An encoder that knows neither rows nor importance, from a body of (source, output, count).
#define PLAIN_ENCODER(name, body)                                                                                      \
    BODY void name(const float *restrict source, const float *restrict importance, void *restrict output, size_t rows, \
                   size_t row_length) {                                                                                \
        (void)importance;                                                                                              \
        body(source, output, rows * row_length);                                                                       \
    }                                                                                                                  \
    ENCODER(name)

// Sixteen lanes on every level; smaller machines take them in pieces.
typedef float f32x16 __attribute__((vector_size(64)));
typedef int32_t i32x16 __attribute__((vector_size(64)));

#endif
