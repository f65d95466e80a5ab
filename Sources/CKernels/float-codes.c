// 4-bit floats whose scales are stored separately (the levels of bitsandbytes, and E2M1), and 8-bit floats (E4M3).
#include "half.h"

typedef uint8_t u8x16 __attribute__((vector_size(16)));

#define SPLAT(value) ((f32x16){} + (value))
#define MAGNITUDE 0x7fffffff

// Sixteen values from memory; when `count` is less, that many and then zeros.
BODY void load_some(const float *x, size_t count, f32x16 *v) {
    *v = (f32x16){};
    memcpy(v, x, count < 16 ? count * 4 : 64);
}

// Magnitudes are compared as integers, where NaN lies above infinity.
BODY void largest_of_blocks_body(const float *x, size_t count, size_t block, float *largest) {
    for (size_t start = 0; start < count; start += block, largest++) {
        const size_t length = count - start < block ? count - start : block;
        i32x16 most = {};
        for (size_t i = 0; i < length; i += 16) {
            f32x16 v;
            load_some(x + start + i, length - i, &v);
            most = __builtin_elementwise_max(most, (i32x16)v & MAGNITUDE);
        }
        int32_t found = 0;
        for (int j = 0; j < 16; j++) found = most[j] > found ? most[j] : found;
        *largest = float_of((uint32_t)found);
    }
}

BODY void store_pairs(const i32x16 *codes, size_t count, const int order, uint8_t *output) {
    uint8_t bytes[16];
    const u8x16 narrow = __builtin_convertvector(*codes, u8x16);
    memcpy(bytes, &narrow, 16);
    for (size_t k = 0; k < (count < 16 ? (count + 1) / 2 : 8); k++)
        output[k] = (uint8_t)(order == RESECT_HIGH_FIRST ? bytes[2 * k] << 4 | bytes[2 * k + 1]
                                                         : bytes[2 * k] | bytes[2 * k + 1] << 4);
}

// A full block is multiplied by the inverse of its largest value, and a short one at the end is divided by it, as in
// bitsandbytes; the divisor is at least 1e-38. NaN counts as above all bounds.
BODY void encode_levels_body(const float *x, size_t count, size_t block, const float *largest, const float *bounds,
                             const uint8_t *codes, uint8_t *output) {
    for (size_t start = 0; start < count; start += block, largest++) {
        const size_t length = count - start < block ? count - start : block;
        const float divisor = *largest < 1e-38f ? 1e-38f : *largest, inverse = 1.0f / divisor;
        for (size_t i = 0; i < length; i += 16) {
            f32x16 v;
            load_some(x + start + i, length - i, &v);
            v = length < block ? v / SPLAT(divisor) : v * SPLAT(inverse);
            i32x16 found = {}, chosen;
            for (int k = 0; k < 15; k++) found -= ~(i32x16)(v <= SPLAT(bounds[k]));
            for (int j = 0; j < 16; j++) chosen[j] = codes[found[j]];
            store_pairs(&chosen, length - i, RESECT_HIGH_FIRST, output + (start + i) / 2);
        }
    }
}

BODY void round_quotient(f32x16 *v, const int type) {
    if (type == RESECT_AS_F32) return;
    for (int j = 0; j < 16; j++)
        (*v)[j] = type == RESECT_AS_BF16 ? float_of_bfloat(bfloat_of_float((*v)[j]))
                                                   : float_of_half(half_of_float((*v)[j]));
}

// The bounds lie between the magnitudes 0, 0.5, 1, 1.5, 2, 3, 4 and 6. A value on a bound is a tie: with ties to even, every
// second bound belongs to the code above it.
BODY void e2m1_blocks(const float *x, size_t count, size_t block, const float *scales, uint8_t *output, const int ties,
                      const int type) {
    static const float bounds[7] = {0.25f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5.0f};
    for (size_t start = 0; start < count; start += block, scales++)
        for (size_t i = 0; i < block; i += 16) {
            f32x16 v;
            load_some(x + start + i, 16, &v);
            v /= SPLAT(*scales);
            round_quotient(&v, type);
            const f32x16 magnitude = (f32x16)((i32x16)v & MAGNITUDE);
            i32x16 codes = {};
            for (int k = 0; k < 7; k++)
                codes -= ties == RESECT_TIES_EVEN && k % 2 ? (i32x16)(magnitude >= SPLAT(bounds[k]))
                                                           : (i32x16)(magnitude > SPLAT(bounds[k]));
            i32x16 sign = (i32x16)(v < SPLAT(0.0f)) & 8;
            if (ties == RESECT_TIES_DOWN) {
                codes &= (i32x16)(magnitude < SPLAT(__builtin_inff()));
                sign &= (i32x16)(codes > 0);
            }
            codes |= sign;
            store_pairs(&codes, 16, RESECT_LOW_FIRST, output + (start + i) / 2);
        }
}

BODY void encode_e2m1_body(const float *x, size_t count, size_t block, const float *scales, int ties, int type,
                           uint8_t *output) {
    if (ties == RESECT_TIES_EVEN)
        e2m1_blocks(x, count, block, scales, output, RESECT_TIES_EVEN, RESECT_AS_F32);
    else if (type == RESECT_AS_F32)
        e2m1_blocks(x, count, block, scales, output, RESECT_TIES_DOWN, RESECT_AS_F32);
    else if (type == RESECT_AS_F16)
        e2m1_blocks(x, count, block, scales, output, RESECT_TIES_DOWN, RESECT_AS_F16);
    else
        e2m1_blocks(x, count, block, scales, output, RESECT_TIES_DOWN, RESECT_AS_BF16);
}

BODY void decode_nibbles_body(const uint8_t *source, size_t count, size_t block, const float *values,
                              const float *scales, int order, float *output) {
    const int first = order == RESECT_HIGH_FIRST ? 4 : 0;
    for (size_t start = 0; start < count; start += block, scales++) {
        const size_t end = count - start < block ? count : start + block;
        const float scale = *scales;
        for (size_t i = start; i < end; i++)
            output[i] = values[source[i / 2] >> (i % 2 ? 4 - first : first) & 15] * scale;
    }
}

// Shifted to the exponent and mantissa of f32, the bits make a number 2^120 times too small, even if it is subnormal.
BODY void decode_e4m3_body(const uint8_t *restrict source, float *restrict output, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const uint32_t magnitude = source[i] & 127, sign = (uint32_t)(source[i] & 128) << 24;
        const float value = float_of(magnitude << 20) * 0x1p120f;
        output[i] = float_of(sign | (magnitude == 127 ? 0x7fc00000u : bits_of(value)));
    }
}

// Rounded to nearest, ties to even. Below 2^-6 the sum with 2^14 has the steps of the subnormal numbers.
BODY void encode_e4m3_body(const float *restrict source, uint8_t *restrict output, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const uint32_t bits = bits_of(source[i]), magnitude = bits & MAGNITUDE;
        const uint32_t small = bits_of(float_of(magnitude) + 16384.0f) - bits_of(16384.0f);
        const uint32_t normal = (magnitude + 0x7ffff + (magnitude >> 20 & 1) - (120u << 23)) >> 20;
        uint32_t code = magnitude < (121u << 23) ? small : normal;
        code = magnitude >= bits_of(448.0f) ? 0x7e : code;
        code = magnitude > 0x7f800000u ? 0x7f : code;
        output[i] = (uint8_t)(bits >> 24 & 128) | (uint8_t)code;
    }
}

BODY void multiply_blocks_body(float *x, size_t count, size_t block, const float *scales) {
    for (size_t start = 0; start < count; start += block, scales++) {
        const size_t end = count - start < block ? count : start + block;
        const float scale = *scales;
        for (size_t i = start; i < end; i++) x[i] *= scale;
    }
}

// Makes resect_NAME, which calls the variant of NAME_body for a level.
#define KERNEL(name, arguments, ...)                                                                                   \
    typedef void (*name##_fn)(__VA_ARGS__);                                                                            \
    VARIANTS(static name##_fn, name##_body, (__VA_ARGS__), arguments)                                                  \
    void resect_##name(__VA_ARGS__, int level) { resect_##name##_body[level] arguments; }

KERNEL(largest_of_blocks, (x, count, block, largest), const float *x, size_t count, size_t block, float *largest)
KERNEL(encode_levels, (x, count, block, largest, bounds, codes, output), const float *x, size_t count, size_t block,
       const float *largest, const float *bounds, const uint8_t *codes, uint8_t *output)
KERNEL(encode_e2m1, (x, count, block, scales, ties, type, output), const float *x, size_t count, size_t block,
       const float *scales, int ties, int type, uint8_t *output)
KERNEL(decode_nibbles, (source, count, block, values, scales, order, output), const uint8_t *source, size_t count,
       size_t block, const float *values, const float *scales, int order, float *output)
KERNEL(decode_e4m3, (source, output, count), const uint8_t *restrict source, float *restrict output, size_t count)
KERNEL(encode_e4m3, (source, output, count), const float *restrict source, uint8_t *restrict output, size_t count)
KERNEL(multiply_blocks, (x, count, block, scales), float *x, size_t count, size_t block, const float *scales)
