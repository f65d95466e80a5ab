// Blocks of 32, encoded as ggml's reference does: same arithmetic, same order of roundings, without its branches.
#include "half.h"
#include <float.h>

// The value of largest magnitude, with its sign; of several, the first.
BODY float extreme(const float *x) {
    float largest = 0;
    for (int j = 0; j < 32; j++) {
        const float a = __builtin_fabsf(x[j]);
        largest = a > largest ? a : largest;
    }
    uint32_t places = 0;
    for (int j = 0; j < 32; j++) places |= (uint32_t)(__builtin_fabsf(x[j]) == largest) << j;
    return places ? x[__builtin_ctz(places)] : 0;
}

BODY void range(const float *x, float *least, float *greatest) {
    float low = FLT_MAX, high = -FLT_MAX;
    for (int j = 0; j < 32; j++) {
        low = x[j] < low ? x[j] : low;
        high = x[j] > high ? x[j] : high;
    }
    *least = low;
    *greatest = high;
}

// Codes are cut, not rounded, after one half was added; the sum is never negative. What is not finite becomes 0.
BODY uint8_t code(float value, int greatest) {
    const float bounded = value > 0 ? (value < 127.0f ? value : 127.0f) : 0;
    const int cut = (int)bounded;
    return (uint8_t)(cut < greatest ? cut : greatest);
}

BODY void pack_nibbles(const uint8_t *codes, uint8_t *nibbles) {
    for (int j = 0; j < 16; j++) nibbles[j] = (uint8_t)((codes[j] & 15) | (codes[j + 16] & 15) << 4);
}

BODY void pack_fifth_bits(const uint8_t *codes, uint8_t *bytes) {
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

BODY void write_q4_0(const float *restrict x, void *restrict output, size_t count) {
    uint8_t *block = output, codes[32];
    for (; count; count -= 32, block += 18, x += 32) {
        const float d = extreme(x) / -8;
        set_half(block, d);
        symmetric_codes(x, d, 8.5f, 15, codes);
        pack_nibbles(codes, block + 2);
    }
}
PLAIN_ENCODER(encode_q4_0, write_q4_0)

BODY void write_q4_1(const float *restrict x, void *restrict output, size_t count) {
    uint8_t *block = output, codes[32];
    for (; count; count -= 32, block += 20, x += 32) {
        float least, greatest;
        range(x, &least, &greatest);
        const float d = (greatest - least) / 15;
        set_half(block, d);
        set_half(block + 2, least);
        affine_codes(x, d, least, 15, codes);
        pack_nibbles(codes, block + 4);
    }
}
PLAIN_ENCODER(encode_q4_1, write_q4_1)

BODY void write_q5_0(const float *restrict x, void *restrict output, size_t count) {
    uint8_t *block = output, codes[32];
    for (; count; count -= 32, block += 22, x += 32) {
        const float d = extreme(x) / -16;
        set_half(block, d);
        symmetric_codes(x, d, 16.5f, 31, codes);
        pack_fifth_bits(codes, block + 2);
        pack_nibbles(codes, block + 6);
    }
}
PLAIN_ENCODER(encode_q5_0, write_q5_0)

BODY void write_q5_1(const float *restrict x, void *restrict output, size_t count) {
    uint8_t *block = output, codes[32];
    for (; count; count -= 32, block += 24, x += 32) {
        float least, greatest;
        range(x, &least, &greatest);
        const float d = (greatest - least) / 31;
        set_half(block, d);
        set_half(block + 2, least);
        affine_codes(x, d, least, 31, codes);
        pack_fifth_bits(codes, block + 4);
        pack_nibbles(codes, block + 8);
    }
}
PLAIN_ENCODER(encode_q5_1, write_q5_1)

BODY void write_q8_0(const float *restrict x, void *restrict output, size_t count) {
    uint8_t *block = output;
    for (; count; count -= 32, block += 34, x += 32) {
        float largest = 0;
        for (int j = 0; j < 32; j++) {
            const float a = __builtin_fabsf(x[j]);
            largest = a > largest ? a : largest;
        }
        const float d = largest / 127, inverse = d != 0 ? 1.0f / d : 0.0f;
        set_half(block, d);
        for (int j = 0; j < 32; j++) {
            // Halves round away from zero: the largest float below one half, added and cut.
            const float value = x[j] * inverse;
            const float moved = value + __builtin_copysignf(0.49999997f, value);
            block[2 + j] = (uint8_t)(int8_t)(int)(moved > -129.0f && moved < 129.0f ? moved : 0);
        }
    }
}
PLAIN_ENCODER(encode_q8_0, write_q8_0)
