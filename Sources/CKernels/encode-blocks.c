// Blocks of 32, encoded as ggml's reference does: same arithmetic, same order of roundings, without its branches.
// With importance, sixteen blocks of a tensor are searched for side by side.
#include "search-affine.h"
#include "search-symmetric.h"
#include <float.h>

// Magnitudes compare as their bits do; NaN counts as zero.
BODY uint32_t largest_bits(const float *x) {
    int32_t largest = 0;
    for (int j = 0; j < 32; j++) {
        const int32_t magnitude = (int32_t)(bits_of(x[j]) & 0x7fffffff);
        const int32_t counted = magnitude <= 0x7f800000 ? magnitude : 0;
        largest = counted > largest ? counted : largest;
    }
    return (uint32_t)largest;
}

// The value of largest magnitude, with its sign; of several, the first.
BODY float extreme(const float *x) {
    const uint32_t largest = largest_bits(x);
    uint32_t has_positive = 0, has_negative = 0;
    for (int j = 0; j < 32; j++) {
        has_positive |= bits_of(x[j]) == largest;
        has_negative |= bits_of(x[j]) == (largest | 0x80000000);
    }
    if (has_positive && has_negative) return extreme_of(x, 32);
    return largest == 0 ? 0 : float_of(has_negative ? largest | 0x80000000 : largest);
}

// The least and the greatest value; NaN is neither.
BODY void range(const float *x, float *least, float *greatest) {
    f32x16 v[2], low = (f32x16){} + FLT_MAX, high = -low;
    memcpy(v, x, sizeof v);
    for (int j = 0; j < 2; j++) {
        low = CHOOSE(v[j] < low, v[j], low);
        high = CHOOSE(v[j] > high, v[j], high);
    }
    *least = LEAST_LANE(low);
    *greatest = -LEAST_LANE(-high);
    // Of zeros of both signs the first is taken, so the order matters when the least value is zero.
    if (*least == 0) {
        *least = FLT_MAX, *greatest = -FLT_MAX;
        for (int j = 0; j < 32; j++) {
            *least = x[j] < *least ? x[j] : *least;
            *greatest = x[j] > *greatest ? x[j] : *greatest;
        }
    }
}

// Codes are truncated after one half was added; the sum is never negative. NaN and infinity become 0: C does not define
// ggml's conversion of them, and this is what x86's instruction makes.
BODY uint8_t code(float value, int greatest) {
    const int cut = (int)(value > 0 && value < 128.0f ? value : 0);
    return (uint8_t)(cut < greatest ? cut : greatest);
}

BODY void store_fifth_bits(const uint8_t *codes, uint8_t *bytes) {
    uint32_t high = 0;
    for (int j = 0; j < 32; j++) high |= (uint32_t)(codes[j] >> 4 & 1) << j;
    memcpy(bytes, &high, 4);
}

BODY void symmetric_codes(const float *x, float scale, float middle, int greatest, uint8_t *codes) {
    const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
    for (int j = 0; j < 32; j++) codes[j] = code(x[j] * inverse + middle, greatest);
}

BODY void affine_codes(const float *x, float scale, float least, int greatest, uint8_t *codes) {
    const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
    for (int j = 0; j < 32; j++) codes[j] = code((x[j] - least) * inverse + 0.5f, greatest);
}

// The four types of 4 and 5 bits with importance. Columns weigh more where the row is large: sigma^2 is the mean of its
// squares. Rows are taken sixteen at a time, and their blocks sixteen at a time across them.
enum { ROWS = 16 };

BODY void write_weighted(const float *x, const float *importance, uint8_t *block, size_t rows, size_t row_length,
                         const int bits, const int is_affine) {
    const affine_plan plan = {32, (1 << bits) - 1, -0.9f, 0.05f, 36, 0, 1};
    const int reach = 1 << (bits - 1), fields = is_affine ? 4 : 2;
    const size_t per_row = row_length / 32;
    for (size_t row = 0; row < rows; row += ROWS) {
        const size_t band = rows - row < ROWS ? rows - row : ROWS;
        float sums[ROWS];
        sums_of_squares(x, band, row_length, sums);
        for (size_t first = 0; first < band * per_row; first += 16) {
            const size_t blocks = band * per_row - first < 16 ? band * per_row - first : 16;
            f32x16 lanes[32], weights[32], scale, minimum = {};
            float sigmas[16] = {};
            uint8_t codes[16][32];
            load_lanes(x + 32 * first, blocks, 32, lanes);
            for (size_t j = 0; j < blocks; j++) sigmas[j] = sums[(first + j) / per_row] / (float)row_length;
            weigh_lanes(lanes, importance, first, per_row, 32, sigmas, weights);
            if (is_affine) {
                affine_result result;
                search_affine(lanes, weights, plan, &result);
                for (int i = 0; i < 32; i++) lanes[i] = AFFINE_CODE(lanes[i], result, plan);
                scale = result.scale, minimum = -result.minimum;
            } else {
                symmetric_result result;
                search_symmetric(lanes, weights, 32, reach, &result);
                for (int i = 0; i < 32; i++) lanes[i] = SYMMETRIC_CODE(lanes[i], result, reach) + (float)reach;
                scale = result.scale;
            }
            store_codes(lanes, 32, codes[0]);
            for (size_t j = 0; j < blocks; j++, block += fields + 16) {
                set_scale(block, ((const float *)&scale)[j]);
                if (is_affine) set_scale(block + 2, ((const float *)&minimum)[j]);
                if (bits == 5) {
                    store_fifth_bits(codes[j], block + fields);
                    block += 4;
                }
                store_nibbles(codes[j], block + fields);
            }
        }
        x += band * row_length;
    }
}

#define BLOCK_ENCODER(name, body, bits, is_affine)                                                                     \
    BODY void name(const float *restrict source, const float *restrict importance, void *restrict output, size_t rows, \
                   size_t row_length) {                                                                                \
        if (importance) write_weighted(source, importance, output, rows, row_length, bits, is_affine);                 \
        else body(source, output, rows * row_length);                                                                  \
    }                                                                                                                  \
    ENCODER(name)

BODY void write_q4_0(const float *restrict x, void *restrict output, size_t count) {
    uint8_t *block = output, codes[32];
    for (; count; count -= 32, block += 18, x += 32) {
        const float d = extreme(x) / -8;
        set_scale(block, d);
        symmetric_codes(x, d, 8.5f, 15, codes);
        store_nibbles(codes, block + 2);
    }
}
BLOCK_ENCODER(encode_q4_0, write_q4_0, 4, 0)

BODY void write_q4_1(const float *restrict x, void *restrict output, size_t count) {
    uint8_t *block = output, codes[32];
    for (; count; count -= 32, block += 20, x += 32) {
        float least, greatest;
        range(x, &least, &greatest);
        const float d = (greatest - least) / 15;
        set_scale(block, d);
        set_scale(block + 2, least);
        affine_codes(x, d, least, 15, codes);
        store_nibbles(codes, block + 4);
    }
}
BLOCK_ENCODER(encode_q4_1, write_q4_1, 4, 1)

BODY void write_q5_0(const float *restrict x, void *restrict output, size_t count) {
    uint8_t *block = output, codes[32];
    for (; count; count -= 32, block += 22, x += 32) {
        const float d = extreme(x) / -16;
        set_scale(block, d);
        symmetric_codes(x, d, 16.5f, 31, codes);
        store_fifth_bits(codes, block + 2);
        store_nibbles(codes, block + 6);
    }
}
BLOCK_ENCODER(encode_q5_0, write_q5_0, 5, 0)

BODY void write_q5_1(const float *restrict x, void *restrict output, size_t count) {
    uint8_t *block = output, codes[32];
    for (; count; count -= 32, block += 24, x += 32) {
        float least, greatest;
        range(x, &least, &greatest);
        const float d = (greatest - least) / 31;
        set_scale(block, d);
        set_scale(block + 2, least);
        affine_codes(x, d, least, 31, codes);
        store_fifth_bits(codes, block + 4);
        store_nibbles(codes, block + 8);
    }
}
BLOCK_ENCODER(encode_q5_1, write_q5_1, 5, 1)

// Magnitudes compare as their bits do. In a block with a NaN, ggml forgets the values before it.
BODY float greatest_magnitude(const float *x) {
    int32_t bits = 0;
    for (int j = 0; j < 32; j++) {
        const int32_t magnitude = (int32_t)(bits_of(x[j]) & 0x7fffffff);
        bits = magnitude > bits ? magnitude : bits;
    }
    if (bits <= 0x7f800000) return float_of((uint32_t)bits);
    float largest = 0;
    for (int j = 0; j < 32; j++) largest = largest > __builtin_fabsf(x[j]) ? largest : __builtin_fabsf(x[j]);
    return largest;
}

BODY void write_q8_0(const float *restrict x, void *restrict output, size_t count) {
    uint8_t *block = output;
    for (; count; count -= 32, block += 34, x += 32) {
        const float largest = greatest_magnitude(x);
        const float d = largest / 127, inverse = d != 0 ? 1.0f / d : 0.0f;
        set_half(block, d);
        for (int j = 0; j < 32; j++) {
            // Ties round away from zero: the largest float below one half is added, and the sum truncated.
            const float value = x[j] * inverse;
            const float moved = value + __builtin_copysignf(0.49999997f, value);
            // A value that is too large for the scale, which can lie before a NaN, keeps its low byte.
            block[2 + j] = (uint8_t)(int)(moved >= -0x1p31f && moved < 0x1p31f ? moved : 0);
        }
    }
}
PLAIN_ENCODER(encode_q8_0, write_q8_0)
