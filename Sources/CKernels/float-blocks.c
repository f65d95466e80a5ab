// MXFP4 and NVFP4: blocks whose codes are floats of four bits (E2M1) under a scale of eight. Element j of the first
// half of a block lies in the low nibble of byte j, element j of the second half in the high nibble.
#include "half.h"

// Twice the values of the codes without a sign; scales are halved instead, so that these are whole numbers.
static const int8_t doubled[8] = {0, 1, 2, 3, 4, 6, 8, 12};

// Half the value of a scale of MXFP4, a power of two.
BODY float half_of_e8m0(uint8_t scale) {
    return float_of(scale < 2 ? 0x00200000u << scale : (uint32_t)(scale - 1) << 23);
}

// Half the value of a scale of NVFP4: four bits of exponent and three of mantissa, whose NaN counts as zero.
BODY float half_of_ue4m3(uint8_t scale) {
    const int exponent = scale >> 3 & 15, mantissa = scale & 7;
    if (scale == 0x7f) return 0;
    if (exponent == 0) return (float)mantissa * 0x1p-10f;
    return float_of((uint32_t)(exponent - 8 + 127) << 23 | (uint32_t)mantissa << 20);
}

BODY void decode_codes(const uint8_t *nibbles, float scale, const int count, float *output) {
    for (int j = 0; j < count / 2; j++) {
        const int low = nibbles[j] & 15, high = nibbles[j] >> 4;
        output[j] = scale * (float)(low < 8 ? doubled[low] : -doubled[low - 8]);
        output[j + count / 2] = scale * (float)(high < 8 ? doubled[high] : -doubled[high - 8]);
    }
}

BODY void decode_mxfp4(const void *restrict source, float *restrict output, size_t count) {
    const uint8_t *block = source;
    for (; count; count -= 32, block += 17, output += 32) decode_codes(block + 1, half_of_e8m0(block[0]), 32, output);
}
DECODER(decode_mxfp4)

BODY void decode_nvfp4(const void *restrict source, float *restrict output, size_t count) {
    const uint8_t *block = source;
    for (; count; count -= 64, block += 36)
        for (int s = 0; s < 4; s++, output += 16)
            decode_codes(block + 4 + 8 * s, half_of_ue4m3(block[s]), 16, output);
}
DECODER(decode_nvfp4)

// Among codes at the same distance from x, the first is taken. Distances are rounded before they are compared, as in ggml,
// so that far beyond the range of the codes all distances are equal.
BODY void encode_codes(const float *x, float scale, const int count, uint8_t *nibbles) {
    float nearest[32];
    uint32_t codes[32] = {};
    for (int j = 0; j < count; j++) nearest[j] = __builtin_fabsf(x[j]);
    for (int code = 1; code < 8; code++) {
        const float value = scale * (float)doubled[code];
        for (int j = 0; j < count; j++) {
            const float distance = __builtin_fabsf(value - __builtin_fabsf(x[j]));
            const int is_nearer = distance < nearest[j];
            nearest[j] = is_nearer ? distance : nearest[j];
            codes[j] = is_nearer ? (uint32_t)code : codes[j];
        }
    }
    for (int j = 0; j < count; j++) codes[j] |= codes[j] ? bits_of(x[j]) >> 28 & 8 : 0;
    for (int j = 0; j < count / 2; j++) nibbles[j] = (uint8_t)(codes[j] | codes[j + count / 2] << 4);
}

// NaN counts as zero.
BODY float largest_magnitude(const float *x, const int count) {
    float largest = 0;
    for (int j = 0; j < count; j++) {
        const float magnitude = __builtin_fabsf(x[j]);
        largest = magnitude > largest ? magnitude : largest;
    }
    return largest;
}

// The floor of log2f(value), a normal number. The logarithm of the last few numbers below a power of two is rounded up to
// the exponent of that power. The larger the exponent, the more numbers these are, because the fraction has fewer bits.
BODY int floor_of_log2(float value) {
    const uint32_t bits = bits_of(value), below = 0x800000 - (bits & 0x7fffff);
    const int exponent = (int)(bits >> 23) - 127;
    const uint32_t whole = (uint32_t)(exponent < 0 ? ~exponent : exponent);
    const uint32_t rounded_up = whole ? 44u >> (6 - (31 - __builtin_clz(whole))) : 0;
    return exponent + (below <= rounded_up);
}

// ggml does not define the result for a block whose scale would lie below the least one, 2^-127; here it gets that one.
BODY void write_mxfp4(const float *restrict x, void *restrict output, size_t count) {
    uint8_t *block = output;
    for (; count; count -= 32, block += 17, x += 32) {
        const float largest = largest_magnitude(x, 32);
        const int scale = largest >= 0x1p-125f && largest < __builtin_inff() ? floor_of_log2(largest) - 2 + 127 : 0;
        block[0] = (uint8_t)scale;
        encode_codes(x, half_of_e8m0(block[0]), 32, block + 1);
    }
}
PLAIN_ENCODER(encode_mxfp4, write_mxfp4)

// Rounded to nearest, ties up; the largest scale is 448.
BODY uint8_t ue4m3_of(float value) {
    if (!(value > 0)) return 0;
    if (value >= 448) return 0x7e;
    if (value < 0x1p-6f) {
        const int mantissa = (int)(value * 512.0f + 0.5f);
        return (uint8_t)(mantissa < 7 ? mantissa : 7);
    }
    const uint32_t bits = bits_of(value), rounded = (bits >> 20) + (bits >> 19 & 1) - ((127 - 7) << 3);
    return (uint8_t)(rounded < 0x78 ? rounded : 0x7e);
}

BODY void write_nvfp4(const float *restrict x, void *restrict output, size_t count) {
    uint8_t *block = output;
    for (; count; count -= 64, block += 36)
        for (int s = 0; s < 4; s++, x += 16) {
            block[s] = ue4m3_of(largest_magnitude(x, 16) / 6.0f);
            encode_codes(x, half_of_ue4m3(block[s]), 16, block + 4 + 8 * s);
        }
}
PLAIN_ENCODER(encode_nvfp4, write_nvfp4)
