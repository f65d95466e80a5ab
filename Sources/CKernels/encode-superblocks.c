// Q4_K, Q5_K and Q6_K, byte for byte as ggml's reference search gives them, sixteen sub-blocks at a time.
//
// The search tries some twenty scales, each of which depends on the last one accepted, so one sub-block cannot be
// spread over lanes. Sixteen sub-blocks can: every lane goes through the scalar sequence, in its order, and accepts
// by mask. The codes of the search matter only where the final scale is 0; they are made again from the scale and
// minimum that gave them.
#include "superblock.h"

// Rounds to nearest, ties to even, for magnitudes below 2^22.
#define ROUNDED(v) (((v) + 12582912.0f) - 12582912.0f)
#define CHOOSE(mask, a, b) ((f32x16)(((mask) & (i32x16)(a)) | (~(mask) & (i32x16)(b))))
// A comparison with what is not a number is false, so that it becomes the lower bound.
#define BOUNDED(v, low, high)                                                                                          \
    ({                                                                                                                 \
        const f32x16 at_least = CHOOSE((v) > (low), (v), (f32x16){} + (low));                                          \
        CHOOSE(at_least < (high), at_least, (f32x16){} + (high));                                                      \
    })

BODY int nearest(float value) {
    const float rounded = value > -4194304.0f && value < 4194304.0f ? ROUNDED(value) : 0;
    return (int)rounded;
}

BODY uint8_t bounded_code(float value, int low, int high) {
    const int code = nearest(value);
    return (uint8_t)(code < low ? low : code > high ? high : code);
}

typedef struct {
    float scale[16], minimum[16], code_scale[16], code_minimum[16];
} search_result;

// The affine search over sixteen sub-blocks of 32. Lane j of x[i] is element i of sub-block j.
BODY void search_affine(const f32x16 *x, float greatest, float first, int steps, search_result *result) {
    f32x16 w[32], codes[32];
    f32x16 squares = {};
    for (int i = 0; i < 32; i++) squares += x[i] * x[i];
    const f32x16 average = __builtin_elementwise_sqrt(squares / 32.0f);
    for (int i = 0; i < 32; i++) w[i] = average + __builtin_elementwise_abs(x[i]);

    f32x16 low = x[0], high = x[0], sum_w = w[0], sum_x = w[0] * x[0];
    for (int i = 1; i < 32; i++) {
        low = CHOOSE(x[i] < low, x[i], low);
        high = CHOOSE(x[i] > high, x[i], high);
        sum_w += w[i];
        sum_x += w[i] * x[i];
    }
    low = CHOOSE(low > 0.0f, (f32x16){}, low);
    const i32x16 flat = low == high;

    f32x16 code_scale = greatest / (high - low), code_minimum = low, scale = 1.0f / code_scale, error = {};
    for (int i = 0; i < 32; i++) {
        const f32x16 code = BOUNDED(ROUNDED(code_scale * (x[i] - low)), 0.0f, greatest);
        const f32x16 difference = scale * code + low - x[i];
        error += w[i] * (difference * difference);
    }
    for (int step = 0; step <= steps; step++) {
        // Once a step is accepted, its minimum is what the next ones measure from.
        const f32x16 inverse = (first + 0.1f * (float)step + greatest) / (high - low);
        f32x16 sum_l = {}, sum_l2 = {}, sum_xl = {};
        for (int i = 0; i < 32; i++) {
            const f32x16 code = BOUNDED(ROUNDED(inverse * (x[i] - low)), 0.0f, greatest);
            const f32x16 weighted = w[i] * code;
            codes[i] = code;
            sum_l += weighted;
            sum_l2 += weighted * code;
            sum_xl += weighted * x[i];
        }
        const f32x16 determinant = sum_w * sum_l2 - sum_l * sum_l;
        f32x16 this_scale = (sum_w * sum_xl - sum_x * sum_l) / determinant;
        f32x16 this_low = (sum_l2 * sum_x - sum_l * sum_xl) / determinant;
        const i32x16 positive = this_low > 0.0f;
        this_low = CHOOSE(positive, (f32x16){}, this_low);
        this_scale = CHOOSE(positive, sum_xl / sum_l2, this_scale);
        f32x16 this_error = {};
        for (int i = 0; i < 32; i++) {
            const f32x16 difference = this_scale * codes[i] + this_low - x[i];
            this_error += w[i] * (difference * difference);
        }
        const i32x16 better = (determinant > 0.0f) & (this_error < error);
        code_scale = CHOOSE(better, inverse, code_scale);
        code_minimum = CHOOSE(better, low, code_minimum);
        error = CHOOSE(better, this_error, error);
        scale = CHOOSE(better, this_scale, scale);
        low = CHOOSE(better, this_low, low);
    }
    *(f32x16 *)result->scale = CHOOSE(flat, (f32x16){}, scale);
    *(f32x16 *)result->minimum = -low;
    *(f32x16 *)result->code_scale = CHOOSE(flat, (f32x16){}, code_scale);
    *(f32x16 *)result->code_minimum = code_minimum;
}

// Scales, minimums and codes of one super-block from the results of its eight sub-blocks.
BODY void encode_affine(
    const float *restrict x, const search_result *found, int lane, int greatest, uint8_t *restrict block,
    uint8_t *restrict codes
) {
    float max_scale = 0, max_minimum = 0;
    for (int j = 0; j < 8; j++) {
        max_scale = found->scale[lane + j] > max_scale ? found->scale[lane + j] : max_scale;
        max_minimum = found->minimum[lane + j] > max_minimum ? found->minimum[lane + j] : max_minimum;
    }
    const float scale_factor = max_scale > 0 ? 63.0f / max_scale : 0;
    const float minimum_factor = max_minimum > 0 ? 63.0f / max_minimum : 0;
    uint8_t scales[8], minimums[8];
    for (int j = 0; j < 8; j++) {
        const uint8_t s = (uint8_t)nearest(scale_factor * found->scale[lane + j]);
        const uint8_t m = (uint8_t)nearest(minimum_factor * found->minimum[lane + j]);
        scales[j] = s < 63 ? s : 63;
        minimums[j] = m < 63 ? m : 63;
    }
    set_half(block, max_scale / 63.0f);
    set_half(block + 2, max_minimum / 63.0f);
    pack_scales_and_minimums(scales, minimums, block + 4);

    const float d = half_at(block), m = half_at(block + 2);
    for (int j = 0; j < 8; j++, x += 32, codes += 32) {
        const float step = d * (float)scales[j], least = m * (float)minimums[j];
        if (step != 0) {
            for (int i = 0; i < 32; i++) codes[i] = bounded_code((x[i] + least) / step, 0, greatest);
        } else {
            const float factor = found->code_scale[lane + j], from = found->code_minimum[lane + j];
            for (int i = 0; i < 32; i++) codes[i] = bounded_code(factor * (x[i] - from), 0, greatest);
        }
    }
}

// Two super-blocks, or one and a zero one, with a sub-block in every lane.
BODY void transpose(const float *x, int superblocks, f32x16 *lanes) {
    for (int i = 0; i < 32; i++)
        for (int j = 0; j < 16; j++) lanes[i][j] = j / 8 < superblocks ? x[32 * j + i] : 0;
}

BODY void write_q4_k(const float *restrict x, void *restrict output, size_t count) {
    uint8_t *block = output, codes[256];
    while (count) {
        const int pair = count >= 512 ? 2 : 1;
        f32x16 lanes[32];
        search_result found __attribute__((aligned(64)));
        transpose(x, pair, lanes);
        search_affine(lanes, 15.0f, -1.0f, 20, &found);
        for (int p = 0; p < pair; p++, x += 256, block += 144, count -= 256) {
            encode_affine(x, &found, 8 * p, 15, block, codes);
            for (int i = 0; i < 128; i++)
                block[16 + i] = (uint8_t)(codes[i / 32 * 64 + i % 32] | codes[i / 32 * 64 + 32 + i % 32] << 4);
        }
    }
}
PLAIN_ENCODER(encode_q4_k, write_q4_k)

BODY void write_q5_k(const float *restrict x, void *restrict output, size_t count) {
    uint8_t *block = output, codes[256];
    while (count) {
        const int pair = count >= 512 ? 2 : 1;
        f32x16 lanes[32];
        search_result found __attribute__((aligned(64)));
        transpose(x, pair, lanes);
        search_affine(lanes, 31.0f, -0.5f, 15, &found);
        for (int p = 0; p < pair; p++, x += 256, block += 176, count -= 256) {
            encode_affine(x, &found, 8 * p, 31, block, codes);
            for (int i = 0; i < 32; i++) {
                uint8_t high = 0;
                for (int s = 0; s < 8; s++) high |= (uint8_t)(codes[32 * s + i] >> 4 << s);
                block[16 + i] = high;
            }
            for (int i = 0; i < 128; i++)
                block[48 + i] =
                    (uint8_t)((codes[i / 32 * 64 + i % 32] & 15) | (codes[i / 32 * 64 + 32 + i % 32] & 15) << 4);
        }
    }
}
PLAIN_ENCODER(encode_q5_k, write_q5_k)

// Sub-blocks whose largest magnitude lies below this are zero; ggml's GROUP_MAX_EPS.
#define NOTHING 1e-15f

// The symmetric search over sixteen sub-blocks of 16, weighted by x^2, codes from -32 to 31.
BODY void search_symmetric(const f32x16 *x, float *scales, float *code_scales) {
    f32x16 largest = {}, extreme = {};
    for (int i = 0; i < 16; i++) {
        const f32x16 magnitude = __builtin_elementwise_abs(x[i]);
        const i32x16 larger = magnitude > largest;
        largest = CHOOSE(larger, magnitude, largest);
        extreme = CHOOSE(larger, x[i], extreme);
    }
    const i32x16 empty = largest < NOTHING;
    f32x16 code_scale = -32.0f / extreme, scale = {}, best = {};
    for (int step = -10; step <= 9; step++) {
        // The first round takes the plain scale and accepts it whatever comes out.
        if (step == 0) continue;
        const int plain = step == -10;
        const f32x16 inverse = plain ? code_scale : -(32.0f + 0.1f * (float)step) / extreme;
        f32x16 sum_lx = {}, sum_l2 = {};
        for (int i = 0; i < 16; i++) {
            const f32x16 code = BOUNDED(ROUNDED(inverse * x[i]), -32.0f, 31.0f);
            const f32x16 w = x[i] * x[i];
            sum_lx += w * x[i] * code;
            sum_l2 += w * code * code;
        }
        const f32x16 ratio = sum_lx / sum_l2;
        if (plain) {
            scale = CHOOSE(sum_l2 != 0.0f, ratio, (f32x16){});
            best = scale * sum_lx;
            continue;
        }
        const i32x16 better = (sum_l2 > 0.0f) & (sum_lx * sum_lx > best * sum_l2);
        code_scale = CHOOSE(better, inverse, code_scale);
        scale = CHOOSE(better, ratio, scale);
        best = CHOOSE(better, ratio * sum_lx, best);
    }
    *(f32x16 *)scales = CHOOSE(empty, (f32x16){}, scale);
    *(f32x16 *)code_scales = CHOOSE(empty, (f32x16){}, code_scale);
}

BODY void write_q6_k(const float *restrict x, void *restrict output, size_t count) {
    uint8_t *block = output, codes[256];
    for (; count; count -= 256, x += 256, block += 210) {
        f32x16 lanes[16];
        float found[16] __attribute__((aligned(64))), code_scales[16] __attribute__((aligned(64)));
        for (int i = 0; i < 16; i++)
            for (int j = 0; j < 16; j++) lanes[i][j] = x[16 * j + i];
        search_symmetric(lanes, found, code_scales);
        float largest = 0, extreme = 0;
        for (int s = 0; s < 16; s++) {
            const float magnitude = __builtin_fabsf(found[s]);
            extreme = magnitude > largest ? found[s] : extreme;
            largest = magnitude > largest ? magnitude : largest;
        }
        if (largest < NOTHING) {
            memset(block, 0, 210);
            continue;
        }
        const float factor = -128.0f / extreme;
        set_half(block + 208, 1 / factor);
        const float d = half_at(block + 208);
        for (int s = 0; s < 16; s++) {
            const int rounded = nearest(factor * found[s]);
            block[192 + s] = (uint8_t)(int8_t)(rounded < 127 ? rounded : 127);
            const float step = d * (float)(int8_t)block[192 + s];
            const float *from = x + 16 * s;
            uint8_t *to = codes + 16 * s;
            if (step != 0) {
                for (int i = 0; i < 16; i++) {
                    const int code = nearest(from[i] / step);
                    to[i] = (uint8_t)((code < -32 ? -32 : code > 31 ? 31 : code) + 32);
                }
            } else if (code_scales[s] != 0) {
                for (int i = 0; i < 16; i++) {
                    const int code = nearest(code_scales[s] * from[i]);
                    to[i] = (uint8_t)((code < -32 ? -32 : code > 31 ? 31 : code) + 32);
                }
            } else {
                memset(to, 0, 16);
            }
        }
        for (int half = 0; half < 2; half++) {
            const uint8_t *from = codes + 128 * half;
            uint8_t *low = block + 64 * half, *high = block + 128 + 32 * half;
            for (int i = 0; i < 32; i++) {
                low[i] = (uint8_t)((from[i] & 15) | (from[i + 64] & 15) << 4);
                low[i + 32] = (uint8_t)((from[i + 32] & 15) | (from[i + 96] & 15) << 4);
                high[i] = (uint8_t)(
                    from[i] >> 4 | from[i + 32] >> 4 << 2 | from[i + 64] >> 4 << 4 | from[i + 96] >> 4 << 6
                );
            }
        }
    }
}
PLAIN_ENCODER(encode_q6_k, write_q6_k)
