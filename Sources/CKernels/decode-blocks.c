// Blocks of 32: a scale, sometimes a minimum, and nibbles. Element j of the first half lies in the low nibble of
// byte j, element j + 16 in its high nibble; fifth bits lie apart, bit j for element j.
#include "half.h"
#include "iq4-levels.h"

BODY void decode_q4_0(const void *restrict source, float *restrict output, size_t count) {
    const uint8_t *block = source;
    for (; count; count -= 32, block += 18, output += 32) {
        const float d = half_at(block);
        for (int j = 0; j < 16; j++) {
            output[j] = d * (float)((block[2 + j] & 15) - 8);
            output[j + 16] = d * (float)((block[2 + j] >> 4) - 8);
        }
    }
}
DECODER(decode_q4_0)

BODY void decode_q4_1(const void *restrict source, float *restrict output, size_t count) {
    const uint8_t *block = source;
    for (; count; count -= 32, block += 20, output += 32) {
        const float d = half_at(block), m = half_at(block + 2);
        for (int j = 0; j < 16; j++) {
            output[j] = d * (float)(block[4 + j] & 15) + m;
            output[j + 16] = d * (float)(block[4 + j] >> 4) + m;
        }
    }
}
DECODER(decode_q4_1)

BODY void decode_q5_0(const void *restrict source, float *restrict output, size_t count) {
    const uint8_t *block = source;
    for (; count; count -= 32, block += 22, output += 32) {
        const float d = half_at(block);
        uint32_t high;
        memcpy(&high, block + 2, 4);
        for (int j = 0; j < 16; j++) {
            const int first = (block[6 + j] & 15) | (int)((high >> j << 4) & 16);
            const int second = (block[6 + j] >> 4) | (int)((high >> (j + 16) << 4) & 16);
            output[j] = d * (float)(first - 16);
            output[j + 16] = d * (float)(second - 16);
        }
    }
}
DECODER(decode_q5_0)

BODY void decode_q5_1(const void *restrict source, float *restrict output, size_t count) {
    const uint8_t *block = source;
    for (; count; count -= 32, block += 24, output += 32) {
        const float d = half_at(block), m = half_at(block + 2);
        uint32_t high;
        memcpy(&high, block + 4, 4);
        for (int j = 0; j < 16; j++) {
            const int first = (block[8 + j] & 15) | (int)((high >> j << 4) & 16);
            const int second = (block[8 + j] >> 4) | (int)((high >> (j + 16) << 4) & 16);
            output[j] = d * (float)first + m;
            output[j + 16] = d * (float)second + m;
        }
    }
}
DECODER(decode_q5_1)

BODY void decode_q8_0(const void *restrict source, float *restrict output, size_t count) {
    const uint8_t *block = source;
    for (; count; count -= 32, block += 34, output += 32) {
        const float d = half_at(block);
        for (int j = 0; j < 32; j++) output[j] = d * (float)(int8_t)block[2 + j];
    }
}
DECODER(decode_q8_0)

BODY void decode_iq4_nl(const void *restrict source, float *restrict output, size_t count) {
    const uint8_t *block = source;
    for (; count; count -= 32, block += 18, output += 32) {
        const float d = half_at(block);
        for (int j = 0; j < 16; j++) {
            output[j] = d * (float)iq4_levels[block[2 + j] & 15];
            output[j + 16] = d * (float)iq4_levels[block[2 + j] >> 4];
        }
    }
}
DECODER(decode_iq4_nl)

// A super-block of 256: scale, the high bits of eight 6-bit scales, their low nibbles, 128 bytes of nibbles.
BODY void decode_iq4_xs(const void *restrict source, float *restrict output, size_t count) {
    const uint8_t *block = source;
    for (; count; count -= 256, block += 136) {
        const float d = half_at(block);
        uint16_t high;
        memcpy(&high, block + 2, 2);
        const uint8_t *nibbles = block + 8;
        for (int s = 0; s < 8; s++, nibbles += 16, output += 32) {
            const int scale = ((block[4 + s / 2] >> (4 * (s % 2))) & 15) | ((high >> (2 * s) & 3) << 4);
            const float step = d * (float)(scale - 32);
            for (int j = 0; j < 16; j++) {
                output[j] = step * (float)iq4_levels[nibbles[j] & 15];
                output[j + 16] = step * (float)iq4_levels[nibbles[j] >> 4];
            }
        }
    }
}
DECODER(decode_iq4_xs)
