// Groups of neighbouring values into 4-bit codes with a scale and an offset, rounded to nearest as MLX, compressed-tensors,
// and GPTQ and AWQ do.
#include "lanes.h"

typedef uint8_t u8x16 __attribute__((vector_size(16)));

#define SPLAT(value) ((f32x16){} + (value))
// Rounds to nearest, ties to even; for magnitudes below 2^22, that is for codes.
#define ROUND(v) (((v) + 12582912.0f) - 12582912.0f)
#define CLAMP(v, low, high) __builtin_elementwise_min(__builtin_elementwise_max(v, low), high)

// A value rounded to a type.
BODY float held(float value, const int type) {
    if (type == RESECT_AS_BF16) return float_of_bfloat(bfloat_of_float(value));
    if (type == RESECT_AS_F16) return float_of_half(half_of_float(value));
    return value;
}

// Sixteen finite values rounded to a type.
BODY void hold(f32x16 *values, const int type) {
    if (type == RESECT_AS_BF16) {
        const i32x16 bits = (i32x16)*values;
        *values = (f32x16)((bits + 0x7fff + ((bits >> 16) & 1)) & (int32_t)0xffff0000u);
    } else if (type == RESECT_AS_F16) {
        for (int i = 0; i < 16; i++) (*values)[i] = held((*values)[i], type);
    }
}

// The least and the greatest value of a group, and whether all are finite.
BODY int extremes(const float *x, size_t size, float *least, float *greatest) {
    f32x16 low = SPLAT(x[0]), high = low;
    i32x16 is_wrong = {};
    for (size_t i = 0; i < size; i += 16) {
        f32x16 v = SPLAT(x[0]);
        memcpy(&v, x + i, size - i < 16 ? (size - i) * 4 : 64);
        low = CHOOSE(v < low, v, low);
        high = CHOOSE(v > high, v, high);
        is_wrong |= v - v != SPLAT(0.0f);
    }
    uint64_t wrong[8];
    memcpy(wrong, &is_wrong, sizeof wrong);
    *least = LEAST_LANE(low);
    *greatest = -LEAST_LANE(-high);
    return !(wrong[0] | wrong[1] | wrong[2] | wrong[3] | wrong[4] | wrong[5] | wrong[6] | wrong[7]);
}

// Sixteen values into codes. `shift` is the zero point, or MLX's bias, which is subtracted before the division.
BODY void sixteen_codes(const float *x, float scale, float shift, uint8_t *codes, const int kind, const int type) {
    f32x16 v;
    memcpy(&v, x, sizeof v);
    if (kind == RESECT_ROUND_MLX) {
        v = ROUND(CLAMP((v - SPLAT(shift)) / SPLAT(scale), SPLAT(0.0f), SPLAT(15.0f)));
    } else {
        v = v / SPLAT(scale);
        hold(&v, type);
        if (kind == RESECT_ROUND_THEN_ADD) {
            v = ROUND(CLAMP(v, SPLAT(-16.0f), SPLAT(16.0f))) + SPLAT(shift);
            v = CLAMP(v, SPLAT(0.0f), SPLAT(15.0f));
        } else {
            // The codes of compressed-tensors are signed.
            v = v + SPLAT(shift - 8.0f);
            hold(&v, type);
            v = ROUND(CLAMP(v, SPLAT(-8.0f), SPLAT(7.0f))) + SPLAT(8.0f);
        }
    }
    const u8x16 found = __builtin_convertvector(__builtin_convertvector(v, i32x16), u8x16);
    memcpy(codes, &found, sizeof found);
}

BODY void write_codes(const float *x, size_t size, float scale, float shift, uint8_t *codes, const int kind,
                      const int type) {
    size_t i = 0;
    for (; i + 16 <= size; i += 16) sixteen_codes(x + i, scale, shift, codes + i, kind, type);
    if (i < size) {
        float rest[16] = {};
        uint8_t found[16];
        memcpy(rest, x + i, (size - i) * 4);
        sixteen_codes(rest, scale, shift, found, kind, type);
        memcpy(codes + i, found, size - i);
    }
}

// MLX: the bias is the least or the greatest value, whichever has the larger magnitude, and the scale is adjusted so that
// zero has a code too. Codes are computed with the scale before it is rounded to its type.
BODY void round_mlx(const float *x, size_t size, float low, float high, float *scale, float *offset, uint8_t *codes,
                    const int type) {
    const int is_low = __builtin_fabsf(low) > __builtin_fabsf(high);
    const float range = (high - low) / 15.0f, least = 1e-7f;
    float s = range > least ? range : least, bias = 0;
    s = is_low ? s : -s;
    const float edge = is_low ? low : high, steps = __builtin_rintf(edge / s);
    if (steps != 0) {
        s = edge / steps;
        bias = edge;
    }
    if (codes) write_codes(x, size, s, bias, codes, RESECT_ROUND_MLX, type);
    *scale = held(s, type);
    *offset = held(bias, type);
}

// The range of values is extended to zero; codes are computed with the scale as it is stored.
BODY void round_zero_point(const resect_group_rule *rule, const float *x, float low, float high, float *scale,
                           float *offset, uint8_t *codes, const int kind, const int type) {
    low = low < 0 ? low : 0;
    high = high > 0 ? high : 0;
    float s, zero = 8;
    if (rule->symmetric) {
        const float largest = -low > high ? -low : high;
        s = held(held(largest / 7.5f, type), rule->scale_type);
    } else {
        s = held(held(held(high - low, type) / 15.0f, type), rule->scale_type);
    }
    if (s == 0) {
        s = rule->least_scale;
    } else if (!rule->symmetric) {
        const float steps = held(-8.0f - held(low / s, type), type);
        zero = __builtin_rintf(steps < -8 ? -8 : steps > 7 ? 7 : steps) + 8;
        if (kind == RESECT_ROUND_THEN_ADD) {
            const float whole = __builtin_rintf(-low / s);
            zero = whole > 15 ? 15 : whole;
            if (zero < rule->least_offset) {
                // No value is clearly negative, so the codes above the offset have to reach the greatest value.
                zero = rule->least_offset;
                s = held(high / (15.0f - zero), rule->scale_type);
                if (s == 0) s = rule->least_scale;
            }
        }
    }
    *scale = s;
    *offset = zero;
    if (codes) write_codes(x, rule->size, s, zero, codes, kind, type);
}

BODY void round_kind(const resect_group_rule *rule, const float *x, size_t groups, float *scales, float *offsets,
                     uint8_t *codes, size_t *refused, const int kind, const int type) {
    for (size_t g = 0; g < groups; g++) {
        float low, high;
        const float *group = x + g * rule->size;
        uint8_t *const written = codes ? codes + g * rule->size : NULL;
        if (!extremes(group, rule->size, &low, &high)) {
            *refused = g;
            return;
        }
        if (kind == RESECT_ROUND_MLX)
            round_mlx(group, rule->size, low, high, scales + g, offsets + g, written, type);
        else
            round_zero_point(rule, group, low, high, scales + g, offsets + g, written, kind, type);
        if ((bits_of(scales[g]) & 0x7fffffff) >= 0x7f800000) {
            *refused = g;
            return;
        }
    }
}

#define KIND(constant, held_as)                                                                                        \
    if (rule->kind == constant && rule->type == held_as) {                                                             \
        round_kind(rule, x, groups, scales, offsets, codes, refused, constant, held_as);                               \
        return;                                                                                                        \
    }

BODY void round_groups(const resect_group_rule *rule, const float *x, size_t groups, float *scales, float *offsets,
                       uint8_t *codes, size_t *refused) {
    *refused = groups;
    KIND(RESECT_ROUND_MLX, RESECT_AS_F32)
    KIND(RESECT_ROUND_MLX, RESECT_AS_F16)
    KIND(RESECT_ROUND_MLX, RESECT_AS_BF16)
    KIND(RESECT_ADD_THEN_ROUND, RESECT_AS_F32)
    KIND(RESECT_ADD_THEN_ROUND, RESECT_AS_F16)
    KIND(RESECT_ADD_THEN_ROUND, RESECT_AS_BF16)
    KIND(RESECT_ROUND_THEN_ADD, RESECT_AS_F32)
}

typedef void (*round_groups_fn)(
    const resect_group_rule *rule, const float *x, size_t groups, float *scales, float *offsets, uint8_t *codes,
    size_t *refused);
VARIANTS(static round_groups_fn, round_groups,
         (const resect_group_rule *rule, const float *x, size_t groups, float *scales, float *offsets, uint8_t *codes,
          size_t *refused),
         (rule, x, groups, scales, offsets, codes, refused))

size_t resect_round_groups_of(
    const resect_group_rule *rule, const float *x, size_t groups, float *scales, float *offsets, uint8_t *codes,
    int level) {
    size_t refused;
    resect_round_groups[level](rule, x, groups, scales, offsets, codes, &refused);
    return refused;
}

// Codes back into values.
BODY void zero_point_values(const uint8_t *restrict codes, const float *scales, const float *offsets, size_t groups,
                            size_t size, float *restrict output) {
    for (size_t g = 0; g < groups; g++)
        for (size_t i = 0; i < size; i++)
            output[g * size + i] = ((float)codes[g * size + i] - offsets[g]) * scales[g];
}

BODY void bias_values(const uint8_t *restrict codes, const float *scales, const float *offsets, size_t groups,
                      size_t size, float *restrict output) {
    for (size_t g = 0; g < groups; g++)
        for (size_t i = 0; i < size; i++)
            output[g * size + i] = (float)codes[g * size + i] * scales[g] + offsets[g];
}

typedef void (*group_values_fn)(
    const uint8_t *restrict codes, const float *scales, const float *offsets, size_t groups, size_t size,
    float *restrict output);
VARIANTS(static group_values_fn, zero_point_values,
         (const uint8_t *restrict codes, const float *scales, const float *offsets, size_t groups, size_t size,
          float *restrict output),
         (codes, scales, offsets, groups, size, output))
VARIANTS(static group_values_fn, bias_values,
         (const uint8_t *restrict codes, const float *scales, const float *offsets, size_t groups, size_t size,
          float *restrict output),
         (codes, scales, offsets, groups, size, output))

void resect_group_values(
    const uint8_t *codes, const float *scales, const float *offsets, int is_bias, size_t groups, size_t size,
    float *output, int level) {
    const group_values_fn *kernel = is_bias ? resect_bias_values : resect_zero_point_values;
    kernel[level](codes, scales, offsets, groups, size, output);
}
