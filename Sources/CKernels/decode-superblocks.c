// Super-blocks of 256, the K types: sub-blocks of 16 or 32 whose scales are themselves quantized.
#include "superblock.h"

// 16 bytes of 4-bit scale and minimum, 64 bytes of 2-bit values, scale, minimum.
BODY void decode_q2_k(const void *restrict source, float *restrict output, size_t count) {
    const uint8_t *block = source;
    for (; count; count -= 256, block += 84) {
        const float d = half_at(block + 80), m = half_at(block + 82);
        for (int s = 0; s < 16; s++, output += 16) {
            const float scale = d * (float)(block[s] & 15), minimum = m * (float)(block[s] >> 4);
            const uint8_t *values = block + 16 + s / 8 * 32 + s % 2 * 16;
            const int shift = s / 2 % 4 * 2;
            for (int j = 0; j < 16; j++) output[j] = scale * (float)(values[j] >> shift & 3) - minimum;
        }
    }
}
DECODER(decode_q2_k)

// 32 bytes of third bits, 64 bytes of 2-bit values, 12 bytes of 6-bit scales, scale.
BODY void decode_q3_k(const void *restrict source, float *restrict output, size_t count) {
    const uint8_t *block = source;
    for (; count; count -= 256, block += 110) {
        const float d = half_at(block + 108);
        const uint8_t *fields = block + 96;
        for (int s = 0; s < 16; s++, output += 16) {
            const int low = fields[s % 8] >> (s / 8 * 4) & 15, high = fields[8 + s % 4] >> (s / 4 * 2) & 3;
            const float scale = d * (float)((low | high << 4) - 32);
            const uint8_t *values = block + 32 + s / 8 * 32 + s % 2 * 16, *bits = block + s % 2 * 16;
            const int shift = s / 2 % 4 * 2, bit = s / 2;
            for (int j = 0; j < 16; j++)
                output[j] = scale * (float)((values[j] >> shift & 3) + 4 * (bits[j] >> bit & 1) - 4);
        }
    }
}
DECODER(decode_q3_k)

// Scale, minimum, 12 bytes of 6-bit scales and minimums, 128 bytes of nibbles.
BODY void decode_q4_k(const void *restrict source, float *restrict output, size_t count) {
    const uint8_t *block = source;
    for (; count; count -= 256, block += 144) {
        const float d = half_at(block), m = half_at(block + 2);
        for (int s = 0; s < 8; s++, output += 32) {
            uint8_t scale, minimum;
            load_scale_and_minimum(block + 4, s, &scale, &minimum);
            const float step = d * (float)scale, least = m * (float)minimum;
            const uint8_t *values = block + 16 + s / 2 * 32;
            const int shift = s % 2 * 4;
            for (int j = 0; j < 32; j++) output[j] = step * (float)(values[j] >> shift & 15) - least;
        }
    }
}
DECODER(decode_q4_k)

// Scale, minimum, 12 bytes of 6-bit scales and minimums, 32 bytes of fifth bits, 128 bytes of nibbles.
BODY void decode_q5_k(const void *restrict source, float *restrict output, size_t count) {
    const uint8_t *block = source;
    for (; count; count -= 256, block += 176) {
        const float d = half_at(block), m = half_at(block + 2);
        for (int s = 0; s < 8; s++, output += 32) {
            uint8_t scale, minimum;
            load_scale_and_minimum(block + 4, s, &scale, &minimum);
            const float step = d * (float)scale, least = m * (float)minimum;
            const uint8_t *high = block + 16, *values = block + 48 + s / 2 * 32;
            const int shift = s % 2 * 4;
            for (int j = 0; j < 32; j++)
                output[j] = step * (float)((values[j] >> shift & 15) | (high[j] >> s & 1) << 4) - least;
        }
    }
}
DECODER(decode_q5_k)

// 128 bytes of nibbles, 64 bytes of 2-bit upper parts, 16 signed scales, scale.
BODY void decode_q6_k(const void *restrict source, float *restrict output, size_t count) {
    const uint8_t *block = source;
    for (; count; count -= 256, block += 210) {
        const float d = half_at(block + 208);
        for (int s = 0; s < 16; s++, output += 16) {
            const float scale = d * (float)(int8_t)block[192 + s];
            const int half = s / 8, quarter = s / 2 % 4, place = s % 2 * 16;
            const uint8_t *low = block + half * 64 + quarter % 2 * 32 + place;
            const uint8_t *high = block + 128 + half * 32 + place;
            const int low_shift = quarter / 2 * 4, high_shift = quarter * 2;
            for (int j = 0; j < 16; j++)
                output[j] =
                    scale * (float)(((low[j] >> low_shift & 15) | (high[j] >> high_shift & 3) << 4) - 32);
        }
    }
}
DECODER(decode_q6_k)
