// IQ4_NL and IQ4_XS: blocks of 32 with a scale, whose codes are indices of sixteen unevenly spaced levels. Sixteen blocks
// are encoded at a time. The bytes are those of ggml's search.
#include "search-levels.h"

// The scales of sixteen blocks in lanes. `sigmas` are used only with importance.
BODY void scales_of_lanes(const f32x16 *lanes, const float *importance, size_t first, size_t per_row,
                          const float *sigmas, float *scales) {
    f32x16 weights[32], found;
    if (importance) weigh_lanes(lanes, importance, first, per_row, 32, sigmas, weights);
    else
        for (int i = 0; i < 32; i++) weights[i] = lanes[i] * lanes[i];
    search_levels(lanes, weights, &found);
    memcpy(scales, &found, sizeof found);
}

BODY void encode_iq4_nl(const float *restrict x, const float *restrict importance, void *restrict output, size_t rows,
                        size_t row_length) {
    uint8_t *block = output, codes[16][32];
    const size_t per_row = row_length / 32, count = rows * per_row;
    for (size_t first = 0; first < count; first += 16, x += 16 * 32) {
        const size_t blocks = count - first < 16 ? count - first : 16;
        float sigmas[16] = {}, scales[16], inverses[16];
        f32x16 lanes[32];
        load_lanes(x, blocks, 32, lanes);
        if (importance) {
            f32x16 sum = {};
            for (int i = 0; i < 32; i++) sum += lanes[i] * lanes[i];
            sum *= 2.0f / 32;
            memcpy(sigmas, &sum, sizeof sum);
        }
        scales_of_lanes(lanes, importance, first, per_row, sigmas, scales);
        for (int j = 0; j < 16; j++) inverses[j] = scales[j] != 0 ? 1 / scales[j] : 0;
        level_numbers(lanes, inverses, codes[0]);
        for (size_t j = 0; j < blocks; j++, block += 18) {
            set_scale(block, scales[j]);
            store_nibbles(codes[j], block + 2);
        }
    }
}
ENCODER(encode_iq4_nl)

// Quantizes the scales of a super-block's eight blocks into its first eight bytes, and writes the inverse of each.
BODY void store_scales(const float *scales, uint8_t *block, float *inverses) {
    const float d = -extreme_of(scales, 8) / 32, inverse = d != 0 ? 1 / d : 0;
    set_scale(block, d);
    uint16_t high = 0;
    memset(block + 4, 0, 4);
    for (int s = 0; s < 8; s++) {
        const int code = bounded(nearest(inverse * scales[s]), -32, 31);
        const float step = d * (float)code;
        inverses[s] = step != 0 ? 1 / step : 0;
        block[4 + s / 2] |= (uint8_t)((code + 32) % 16 << s % 2 * 4);
        high |= (uint16_t)((code + 32) / 16 << 2 * s);
    }
    memcpy(block + 2, &high, 2);
}

BODY void encode_iq4_xs(const float *restrict x, const float *restrict importance, void *restrict output, size_t rows,
                        size_t row_length) {
    uint8_t *block = output, codes[16][32];
    const size_t per_row = row_length / 256, count = rows * per_row;
    float sums[16] = {};
    for (size_t first = 0; first < count; first += 2, x += 512) {
        const size_t pair = count - first < 2 ? 1 : 2;
        if (importance && first % 16 == 0) sums_of_squares(x, count - first < 16 ? count - first : 16, 256, sums);
        float sigmas[16], scales[16], inverses[16] = {};
        f32x16 lanes[32];
        for (size_t j = 0; j < 16; j++) sigmas[j] = sums[first % 16 + j / 8] * (2.0f / 256);
        load_lanes(x, pair * 8, 32, lanes);
        scales_of_lanes(lanes, importance, first * 8, per_row * 8, sigmas, scales);
        for (size_t p = 0; p < pair; p++) store_scales(scales + 8 * p, block + 136 * p, inverses + 8 * p);
        level_numbers(lanes, inverses, codes[0]);
        for (size_t p = 0; p < pair; p++, block += 136)
            for (size_t s = 0; s < 8; s++) store_nibbles(codes[8 * p + s], block + 8 + 16 * s);
    }
}
ENCODER(encode_iq4_xs)
