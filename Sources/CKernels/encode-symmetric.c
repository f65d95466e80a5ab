// Q3_K and Q6_K: super-blocks of 256 whose sixteen sub-blocks have a scale, itself quantized. The bytes are those of ggml's
// reference search. The sub-blocks of a super-block are the lanes.
#include "search-symmetric.h"

// Bounded codes of a sub-block under its quantized scale, counted from 0.
BODY void codes_by_scale(const float *x, float step, const int reach, uint8_t *codes) {
    for (int i = 0; i < 16; i++) codes[i] = (uint8_t)(bounded(nearest(plain(x[i]) / step), -reach, reach - 1) + reach);
}

BODY void store_q6_k(const uint8_t *codes, uint8_t *block) {
    for (int half = 0; half < 2; half++) {
        const uint8_t *from = codes + 128 * half;
        uint8_t *low = block + 64 * half, *high = block + 128 + 32 * half;
        for (int i = 0; i < 32; i++) {
            low[i] = (uint8_t)((from[i] & 15) | (from[i + 64] & 15) << 4);
            low[i + 32] = (uint8_t)((from[i + 32] & 15) | (from[i + 96] & 15) << 4);
            high[i] =
                (uint8_t)(from[i] >> 4 | from[i + 32] >> 4 << 2 | from[i + 64] >> 4 << 4 | from[i + 96] >> 4 << 6);
        }
    }
}

BODY void encode_q6_k(const float *restrict x, const float *restrict importance, void *restrict output, size_t rows,
                      size_t row_length) {
    uint8_t *block = output, codes[256];
    const size_t per_row = row_length / 256;
    for (size_t k = 0; k < rows * per_row; k++, x += 256, block += 210) {
        f32x16 lanes[16], weights[16];
        symmetric_result result;
        load_lanes(x, 16, 16, lanes);
        if (importance) load_lanes(importance + k % per_row * 256, 16, 16, weights);
        else
            for (int i = 0; i < 16; i++) weights[i] = lanes[i] * lanes[i];
        search_symmetric(lanes, weights, 16, 32, &result);
        float scales[16];
        memcpy(scales, &result.scale, sizeof scales);
        const float extreme = extreme_of(scales, 16);
        if (__builtin_fabsf(extreme) < NOTHING) {
            memset(block, 0, 210);
            continue;
        }
        const float factor = -128.0f / extreme;
        set_scale(block + 208, 1 / factor);
        const float d = half_at(block + 208);
        int is_searched = 0;
        for (int s = 0; s < 16; s++) {
            const int code = nearest(factor * scales[s]);
            block[192 + s] = (uint8_t)(int8_t)(code < 127 ? code : 127);
            is_searched |= d * (float)(int8_t)block[192 + s] == 0;
        }
        if (is_searched) {
            for (int i = 0; i < 16; i++) lanes[i] = SYMMETRIC_CODE(lanes[i], result, 32) + 32.0f;
            store_codes(lanes, 16, codes);
        }
        for (int s = 0; s < 16; s++) {
            const float step = d * (float)(int8_t)block[192 + s];
            if (step != 0) codes_by_scale(x + 16 * s, step, 32, codes + 16 * s);
        }
        store_q6_k(codes, block);
    }
}
ENCODER(encode_q6_k)

// Writes a super-block of Q3_K: its scales, and codes rounded with the scales as they are stored.
BODY void finish_q3_k(const float *x, const uint8_t *scales, float d_exact, uint8_t *codes, uint8_t *block) {
    uint8_t *fields = block + 96;
    memset(fields, 0, 12);
    for (int s = 0; s < 16; s++) {
        fields[s % 8] |= (uint8_t)((scales[s] & 15) << s / 8 * 4);
        fields[8 + s % 4] |= (uint8_t)(scales[s] >> 4 << s / 4 * 2);
    }
    set_scale(block + 108, d_exact);
    const float d = half_at(block + 108);
    for (int s = 0; s < 16; s++) {
        const float step = d * (float)((int)scales[s] - 32);
        if (step != 0) codes_by_scale(x + 16 * s, step, 4, codes + 16 * s);
    }
    for (int i = 0; i < 32; i++) {
        uint8_t high = 0;
        for (int s = 0; s < 8; s++) high |= (uint8_t)(codes[32 * s + i] >> 2 << s);
        block[i] = high;
    }
    for (int half = 0; half < 2; half++)
        for (int i = 0; i < 32; i++) {
            const uint8_t *from = codes + 128 * half + i;
            block[32 + 32 * half + i] = (uint8_t)((from[0] & 3) | (from[32] & 3) << 2 | (from[64] & 3) << 4
                                                  | (from[96] & 3) << 6);
        }
}

BODY void encode_q3_k_alike(const float *x, uint8_t *block, size_t count) {
    for (size_t first = 0; first < count; first += GROUPS) {
        f32x16 lanes[GROUPS][16], lane_codes[GROUPS][16], found[GROUPS];
        const size_t group = count - first < GROUPS ? count - first : GROUPS;
        for (size_t g = 0; g < GROUPS; g++) load_lanes(x + 256 * g, g < group ? 16 : 0, 16, lanes[g]);
        search_by_codes(lanes, 4, found, lane_codes);
        for (size_t g = 0; g < group; g++, x += 256, block += 110) {
            float scales[16];
            uint8_t codes[256], scale_codes[16] = {};
            store_codes(lane_codes[g], 16, codes);
            memcpy(scales, &found[g], sizeof scales);
            const float extreme = extreme_of(scales, 16), factor = -32.0f / extreme;
            if (extreme != 0)
                for (int s = 0; s < 16; s++)
                    scale_codes[s] = (uint8_t)(bounded((int8_t)nearest(factor * scales[s]), -32, 31) + 32);
            finish_q3_k(x, scale_codes, extreme != 0 ? 1 / factor : 0, codes, block);
        }
    }
}

// With importance the scales of sixteen super-blocks are searched for side by side.
BODY void encode_q3_k_weighted(const float *x, const float *importance, uint8_t *block, size_t count, size_t per_row) {
    for (size_t first = 0; first < count; first += 16) {
        const size_t chunk = count - first < 16 ? count - first : 16;
        f32x16 scales[16] = {}, weights_of_scales[16] = {};
        uint8_t codes[16][256];
        float sums[16];
        sums_of_squares(x, chunk, 256, sums);
        for (size_t k = 0; k < chunk; k++) {
            f32x16 lanes[16], weights[16], sum = {};
            float sigmas[16];
            symmetric_result result;
            load_lanes(x + 256 * k, 16, 16, lanes);
            for (int j = 0; j < 16; j++) sigmas[j] = 2 * sums[k] / 256;
            weigh_lanes(lanes, importance, (first + k) * 16, per_row * 16, 16, sigmas, weights);
            for (int i = 0; i < 16; i++) sum += weights[i];
            search_symmetric(lanes, weights, 16, 4, &result);
            for (int i = 0; i < 16; i++) {
                lanes[i] = SYMMETRIC_CODE(lanes[i], result, 4) + 4.0f;
                ((float *)&scales[i])[k] = ((const float *)&result.scale)[i];
                ((float *)&weights_of_scales[i])[k] = ((const float *)&sum)[i];
            }
            store_codes(lanes, 16, codes[k]);
        }
        symmetric_result result;
        search_symmetric(scales, weights_of_scales, 16, 32, &result);
        for (int i = 0; i < 16; i++) scales[i] = SYMMETRIC_CODE(scales[i], result, 32) + 32.0f;
        uint8_t scale_codes[16][16];
        store_codes(scales, 16, scale_codes[0]);
        for (size_t k = 0; k < chunk; k++, x += 256, block += 110)
            finish_q3_k(x, scale_codes[k], ((const float *)&result.scale)[k], codes[k], block);
    }
}

BODY void encode_q3_k(const float *restrict source, const float *restrict importance, void *restrict output,
                      size_t rows, size_t row_length) {
    const size_t per_row = row_length / 256;
    if (importance) encode_q3_k_weighted(source, importance, output, rows * per_row, per_row);
    else encode_q3_k_alike(source, output, rows * per_row);
}
ENCODER(encode_q3_k)
