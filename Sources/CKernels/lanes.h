// Sixteen blocks or sub-blocks side by side: lane j of vector i is element i of block j.
//
// The searches of ggml try many scales, each of which depends on the last one accepted, and add up errors in a fixed
// order, so one block cannot be spread over lanes. Sixteen blocks can: every lane goes through the scalar sequence, in
// its order, and accepts by mask.
#ifndef RESECT_LANES_H
#define RESECT_LANES_H

#include "half.h"

// Blocks whose largest magnitude lies below this are zero; ggml's GROUP_MAX_EPS.
#define NOTHING 1e-15f

#define CHOOSE(mask, a, b) ((f32x16)(((mask) & (i32x16)(a)) | (~(mask) & (i32x16)(b))))
#define ABSOLUTE(v) __builtin_elementwise_abs(v)

// The least of sixteen lanes: halves are compared until one is left.
#define LEAST_LANE(v)                                                                                                  \
    ({                                                                                                                 \
        f32x16 a = (v), b = __builtin_shufflevector(a, a, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);       \
        a = CHOOSE(a < b, a, b);                                                                                       \
        b = __builtin_shufflevector(a, a, 4, 5, 6, 7, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3);                             \
        a = CHOOSE(a < b, a, b);                                                                                       \
        b = __builtin_shufflevector(a, a, 2, 3, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1);                             \
        a = CHOOSE(a < b, a, b);                                                                                       \
        a[0] < a[1] ? a[0] : a[1];                                                                                     \
    })

// ggml's nearest_int: adding 1.5 * 2^23 leaves the rounded number in the low bits. A value that does not fit them gives a
// wrong number, but the same on every machine, and NaN gives 0. The sum stays an integer until the code is bounded.
#define ROUNDER 12582912.0f
#define ROUNDER_BITS 0x4b400000
#define NEAREST_BITS(v) ((((i32x16)((v) + ROUNDER)) & 0x7fffff) | 0x4b000000)
#define NEAREST(v) ((f32x16)NEAREST_BITS(v) - ROUNDER)
#define BOUNDED_NEAREST(v, low, high)                                                                                  \
    ((f32x16)__builtin_elementwise_min(                                                                                \
         __builtin_elementwise_max(NEAREST_BITS(v), (i32x16){} + (ROUNDER_BITS + (low))),                              \
         (i32x16){} + (ROUNDER_BITS + (high)))                                                                         \
     - ROUNDER)
// The same for one number.
BODY int nearest(float value) { return (int)(bits_of(value + ROUNDER) & 0x7fffff) - 0x400000; }
BODY int bounded(int value, int low, int high) { return value < low ? low : value > high ? high : value; }

// The value of largest magnitude, with its sign; of several, the first.
BODY float extreme_of(const float *values, const int count) {
    float largest = 0, extreme = 0;
    for (int i = 0; i < count; i++) {
        const float magnitude = __builtin_fabsf(values[i]);
        extreme = magnitude > largest ? values[i] : extreme;
        largest = magnitude > largest ? magnitude : largest;
    }
    return extreme;
}

// Every NaN becomes the same one, so that it does not matter which of two NaNs an addition passes on.
BODY float plain(float value) { return value == value ? value : __builtin_nanf(""); }

// A scale as f16. The sign of a NaN is not defined, and here it is always the same.
BODY void set_scale(uint8_t *bytes, float value) {
    const uint16_t half = value == value ? half_of_float(value) : 0xfe00;
    memcpy(bytes, &half, 2);
}

// Sixteen rows of sixteen become columns: first within four rows and columns, then the fours change places.
#define INTERLEAVE(a, b, i, j, k, l)                                                                                   \
    __builtin_shufflevector(a, b, i, j, k, l, 4 + i, 4 + j, 4 + k, 4 + l, 8 + i, 8 + j, 8 + k, 8 + l, 12 + i, 12 + j,  \
                            12 + k, 12 + l)
#define FOUR(i) 4 * (i), 4 * (i) + 1, 4 * (i) + 2, 4 * (i) + 3
#define FOURS(a, b, i, j) __builtin_shufflevector(a, b, FOUR(i), FOUR(j), FOUR(4 + i), FOUR(4 + j))
BODY void transpose(f32x16 *v) {
    f32x16 t[16];
    for (int r = 0; r < 16; r += 2) {
        t[r] = INTERLEAVE(v[r], v[r + 1], 0, 16, 1, 17);
        t[r + 1] = INTERLEAVE(v[r], v[r + 1], 2, 18, 3, 19);
    }
    for (int r = 0; r < 16; r += 4)
        for (int half = 0; half < 2; half++) {
            v[r + 2 * half] = INTERLEAVE(t[r + half], t[r + 2 + half], 0, 1, 16, 17);
            v[r + 2 * half + 1] = INTERLEAVE(t[r + half], t[r + 2 + half], 2, 3, 18, 19);
        }
    for (int k = 0; k < 4; k++) {
        t[k] = FOURS(v[k], v[4 + k], 0, 2);
        t[4 + k] = FOURS(v[k], v[4 + k], 1, 3);
        t[8 + k] = FOURS(v[8 + k], v[12 + k], 0, 2);
        t[12 + k] = FOURS(v[8 + k], v[12 + k], 1, 3);
    }
    for (int k = 0; k < 4; k++) {
        v[k] = FOURS(t[k], t[8 + k], 0, 2);
        v[8 + k] = FOURS(t[k], t[8 + k], 1, 3);
        v[4 + k] = FOURS(t[4 + k], t[12 + k], 0, 2);
        v[12 + k] = FOURS(t[4 + k], t[12 + k], 1, 3);
    }
}

// Sixteen elements from each of sixteen addresses, transposed. Every NaN becomes the same one, as in `plain`.
BODY void load_sixteen(const float *const *places, size_t offset, f32x16 *lanes) {
    for (int j = 0; j < 16; j++) {
        f32x16 row;
        memcpy(&row, places[j] + offset, sizeof row);
        lanes[j] = CHOOSE(row == row, row, (f32x16){} + __builtin_nanf(""));
    }
    transpose(lanes);
}

// `blocks` blocks of `size` elements into lanes, the other lanes zero.
BODY void load_lanes(const float *x, size_t blocks, const int size, f32x16 *lanes) {
    static const float nothing[32];
    const float *places[16];
    for (size_t j = 0; j < 16; j++) places[j] = j < blocks ? x + j * (size_t)size : nothing;
    for (int i = 0; i < size; i += 16) load_sixteen(places, (size_t)i, lanes + i);
}

// Sums of squares of up to sixteen runs of `length` values, each in order; a length is a multiple of sixteen.
BODY void sums_of_squares(const float *x, size_t runs, size_t length, float *sums) {
    const float *places[16];
    for (size_t j = 0; j < 16; j++) places[j] = x + (j < runs ? j : 0) * length;
    f32x16 sum = {}, lanes[16];
    for (size_t offset = 0; offset < length; offset += 16) {
        load_sixteen(places, offset, lanes);
        for (int i = 0; i < 16; i++) sum += lanes[i] * lanes[i];
    }
    memcpy(sums, &sum, sizeof sum);
}

// The weight of each element's error, for sixteen blocks: the column's importance times sqrt(sigma^2 + x^2), as in ggml.
// `first` is the index of the first block; a row has `per_row` blocks. `sigmas` holds sigma^2.
BODY void weigh_lanes(const f32x16 *x, const float *importance, size_t first, size_t per_row, const int size,
                      const float *sigmas, f32x16 *weights) {
    const float *places[16];
    for (size_t j = 0; j < 16; j++) places[j] = importance + (first + j) % per_row * (size_t)size;
    for (int i = 0; i < size; i += 16) load_sixteen(places, (size_t)i, weights + i);
    f32x16 sigma;
    memcpy(&sigma, sigmas, sizeof sigma);
    for (int i = 0; i < size; i++) weights[i] *= __builtin_elementwise_sqrt(sigma + x[i] * x[i]);
}

// Codes of sixteen blocks as bytes, block after block.
BODY void store_codes(const f32x16 *lanes, const int size, uint8_t *codes) {
    for (int i = 0; i < size; i += 16) {
        f32x16 rows[16];
        memcpy(rows, lanes + i, sizeof rows);
        transpose(rows);
        for (int j = 0; j < 16; j++)
            for (int k = 0; k < 16; k++) codes[size * j + i + k] = (uint8_t)(int)((const float *)&rows[j])[k];
    }
}

// The low four bits of the codes of a block of 32: the first half in the low nibbles.
BODY void store_nibbles(const uint8_t *codes, uint8_t *nibbles) {
    for (int i = 0; i < 16; i++) nibbles[i] = (uint8_t)((codes[i] & 15) | (codes[i + 16] & 15) << 4);
}

#endif
