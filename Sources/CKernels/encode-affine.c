// Q2_K, Q4_K and Q5_K: super-blocks of 256 whose sub-blocks have a scale and a minimum, themselves quantized. The bytes are
// those of ggml's reference search.
#include "search-affine.h"
#include "search-scales.h"
#include "superblock.h"

// Super-blocks that are worked on together: with importance, their scales are searched for side by side.
enum { CHUNK = 16 };

// What the search found for every sub-block of a chunk.
typedef struct {
    float scale[CHUNK * 16], minimum[CHUNK * 16], weight[CHUNK * 16], code_scale[CHUNK * 16], code_minimum[CHUNK * 16];
    int32_t stepped[CHUNK * 16];
} found_affine __attribute__((aligned(64)));

// Scales and minimums of a super-block as codes, and the value of one step of each.
typedef struct {
    uint8_t scales[16], minimums[16];
    float scale_step, minimum_step;
} affine_scales;

BODY void search_chunk(const float *x, const float *importance, size_t first, size_t count, size_t per_row,
                       const int bits, const affine_plan plan, found_affine *found) {
    const size_t subs = 256 / (size_t)plan.size;
    float sums[16], sigmas[16];
    if (importance) sums_of_squares(x, count, 256, sums);
    for (size_t s = 0; s < count * subs; s += 16) {
        const size_t blocks = count * subs - s < 16 ? count * subs - s : 16;
        f32x16 lanes[32], weights[32];
        load_lanes(x + s * (size_t)plan.size, blocks, plan.size, lanes);
        if (importance) {
            for (size_t j = 0; j < 16; j++)
                sigmas[j] = j < blocks ? (bits == 2 ? 1.0f : 2.0f) * sums[(s + j) / subs] / 256.0f : 0;
            weigh_lanes(lanes, importance, first * subs + s, per_row * subs, plan.size, sigmas, weights);
        } else {
            f32x16 squares = {};
            for (int i = 0; i < plan.size; i++) squares += lanes[i] * lanes[i];
            const f32x16 average = bits == 2 ? (f32x16){} : __builtin_elementwise_sqrt(squares / 32.0f);
            for (int i = 0; i < plan.size; i++) weights[i] = average + ABSOLUTE(lanes[i]);
        }
        affine_result result;
        search_affine(lanes, weights, plan, &result);
        memcpy(found->scale + s, &result.scale, 64);
        memcpy(found->minimum + s, &result.minimum, 64);
        memcpy(found->weight + s, &result.sum_of_weights, 64);
        memcpy(found->code_scale + s, &result.code_scale, 64);
        memcpy(found->code_minimum + s, &result.code_minimum, 64);
        memcpy(found->stepped + s, &result.stepped, 64);
    }
}

// The largest value gets the largest code.
BODY float codes_by_largest(const float *values, const int subs, const int greatest, uint8_t *codes) {
    float largest = 0;
    for (int j = 0; j < subs; j++) largest = values[j] > largest ? values[j] : largest;
    const float factor = largest > 0 ? (float)greatest / largest : 0;
    for (int j = 0; j < subs; j++) {
        const uint8_t code = (uint8_t)nearest(factor * values[j]);
        codes[j] = greatest == 63 && code > 63 ? 63 : code;
    }
    return largest / (float)greatest;
}

BODY void scales_of_chunk(const found_affine *found, size_t count, const int subs, const int bits, int is_weighted,
                          affine_scales *output) {
    const int greatest = bits == 2 ? 15 : 63;
    if (!is_weighted) {
        for (size_t k = 0; k < count; k++, output++) {
            const size_t first = k * (size_t)subs;
            output->scale_step = codes_by_largest(found->scale + first, subs, greatest, output->scales);
            output->minimum_step = codes_by_largest(found->minimum + first, subs, greatest, output->minimums);
        }
        return;
    }
    f32x16 scales[16], minimums[16], weights[16], steps[2];
    i32x16 codes[2][16];
    for (int i = 0; i < subs; i++)
        for (size_t k = 0; k < CHUNK; k++) {
            const size_t place = k * (size_t)subs + (size_t)i;
            ((float *)&scales[i])[k] = k < count ? found->scale[place] : 0;
            ((float *)&minimums[i])[k] = k < count ? found->minimum[place] : 0;
            ((float *)&weights[i])[k] = k < count ? found->weight[place] : 0;
        }
    search_scales(scales, weights, subs, greatest, &steps[0], codes[0]);
    search_scales(minimums, weights, subs, greatest, &steps[1], codes[1]);
    for (size_t k = 0; k < count; k++, output++) {
        for (int i = 0; i < subs; i++) {
            const uint8_t scale = (uint8_t)((int32_t *)&codes[0][i])[k];
            const uint8_t minimum = (uint8_t)((int32_t *)&codes[1][i])[k];
            output->scales[i] = bits == 5 && scale > 63 ? 63 : scale;
            output->minimums[i] = bits == 5 && minimum > 63 ? 63 : minimum;
        }
        output->scale_step = ((float *)&steps[0])[k];
        output->minimum_step = ((float *)&steps[1])[k];
    }
}

// Rounds the codes of a sub-block with its quantized scale, or with what the search found where that scale is zero.
BODY void affine_codes(const float *x, const found_affine *found, size_t place, float step, float least,
                       const affine_plan plan, uint8_t *codes) {
    if (step != 0) {
        for (int i = 0; i < plan.size; i++)
            codes[i] = (uint8_t)bounded(nearest((plain(x[i]) + least) / step), 0, plan.greatest);
        return;
    }
    const float factor = found->code_scale[place], from = found->code_minimum[place], most = (float)plan.greatest;
    const int is_bounded_first = plan.is_guarded && found->stepped[place];
    for (int i = 0; i < plan.size; i++) {
        const float exact = factor * (plain(x[i]) - from), cut = exact > 0 ? (exact < most ? exact : most) : 0;
        codes[i] = (uint8_t)bounded(nearest(is_bounded_first ? cut : exact), 0, plan.greatest);
    }
}

BODY void store_q2_k(const float *x, const found_affine *found, size_t place, const affine_scales *scales,
                    const affine_plan plan, uint8_t *block) {
    uint8_t codes[256];
    set_scale(block + 80, scales->scale_step);
    set_scale(block + 82, scales->minimum_step);
    const float d = half_at(block + 80), m = half_at(block + 82);
    for (int j = 0; j < 16; j++) {
        block[j] = (uint8_t)(scales->scales[j] | scales->minimums[j] << 4);
        affine_codes(x + 16 * j, found, place + (size_t)j, d * (float)(block[j] & 15), m * (float)(block[j] >> 4), plan,
                     codes + 16 * j);
    }
    for (int half = 0; half < 2; half++)
        for (int i = 0; i < 32; i++) {
            const uint8_t *from = codes + 128 * half + i;
            block[16 + 32 * half + i] = (uint8_t)(from[0] | from[32] << 2 | from[64] << 4 | from[96] << 6);
        }
}

// Q4_K and Q5_K differ by the fifth bits.
BODY void store_q45_k(const float *x, const found_affine *found, size_t place, const affine_scales *scales,
                     const affine_plan plan, const int bits, uint8_t *block) {
    uint8_t codes[256];
    set_scale(block, scales->scale_step);
    set_scale(block + 2, scales->minimum_step);
    store_scales_and_minimums(scales->scales, scales->minimums, block + 4);
    const float d = half_at(block), m = half_at(block + 2);
    for (int j = 0; j < 8; j++) {
        uint8_t scale, minimum;
        load_scale_and_minimum(block + 4, j, &scale, &minimum);
        affine_codes(x + 32 * j, found, place + (size_t)j, d * (float)scale, m * (float)minimum, plan, codes + 32 * j);
    }
    if (bits == 5)
        for (int i = 0; i < 32; i++) {
            uint8_t high = 0;
            for (int s = 0; s < 8; s++) high |= (uint8_t)(codes[32 * s + i] >> 4 << s);
            block[16 + i] = high;
        }
    uint8_t *nibbles = block + (bits == 5 ? 48 : 16);
    for (int i = 0; i < 128; i++) {
        const uint8_t *from = codes + i / 32 * 64 + i % 32;
        nibbles[i] = (uint8_t)((from[0] & 15) | (from[32] & 15) << 4);
    }
}

BODY void encode_affine(const float *x, const float *importance, uint8_t *block, size_t count, size_t per_row,
                        const int bits, const affine_plan plan) {
    const size_t subs = 256 / (size_t)plan.size, bytes = bits == 2 ? 84 : bits == 4 ? 144 : 176;
    for (size_t first = 0; first < count; first += CHUNK) {
        const size_t chunk = count - first < CHUNK ? count - first : CHUNK;
        found_affine found;
        affine_scales scales[CHUNK];
        search_chunk(x, importance, first, chunk, per_row, bits, plan, &found);
        scales_of_chunk(&found, chunk, (int)subs, bits, importance != NULL, scales);
        for (size_t k = 0; k < chunk; k++, x += 256, block += bytes) {
            if (bits == 2) store_q2_k(x, &found, k * subs, &scales[k], plan, block);
            else store_q45_k(x, &found, k * subs, &scales[k], plan, bits, block);
        }
    }
}

// An encoder of a type, with the parameters of its search without and with importance.
#define AFFINE_ENCODER(name, bits, size, first, delta, steps, is_absolute)                                             \
    BODY void name(const float *restrict source, const float *restrict importance, void *restrict output, size_t rows, \
                   size_t row_length) {                                                                                \
        const int greatest = (1 << (bits)) - 1;                                                                        \
        const affine_plan alike = {size, greatest, first, delta, steps, is_absolute, 0};                               \
        const affine_plan weighted = {size, greatest, -0.9f, 0.05f, 36, 0, 1};                                         \
        const size_t per_row = row_length / 256;                                                                       \
        if (importance) encode_affine(source, importance, output, rows * per_row, per_row, bits, weighted);            \
        else encode_affine(source, NULL, output, rows * per_row, per_row, bits, alike);                                \
    }                                                                                                                  \
    ENCODER(name)

AFFINE_ENCODER(encode_q2_k, 2, 16, -0.5f, 0.1f, 15, 1)
AFFINE_ENCODER(encode_q4_k, 4, 32, -1.0f, 0.1f, 20, 0)
AFFINE_ENCODER(encode_q5_k, 5, 32, -0.5f, 0.1f, 15, 0)
