// What a decoder layer does between its matrix products: norms, rotations, gates, softmax.
#include "activations.h"

BODY void rms_norm(const float *x, const float *weight, float *output, size_t count, float epsilon) {
    float lanes[LANES] = {};
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int l = 0; l < LANES; l++) lanes[l] += x[i + (size_t)l] * x[i + (size_t)l];
    float sum = sum_of_lanes(lanes);
    for (; i < count; i++) sum += x[i] * x[i];
    const float scale = 1.0f / __builtin_sqrtf(sum / (float)count + epsilon);
    for (i = 0; i < count; i++) output[i] = x[i] * scale * weight[i];
}
EACH_LEVEL(
    void, rms_norm, (const float *x, const float *weight, float *output, size_t count, float epsilon),
    (x, weight, output, count, epsilon)
)

BODY void add(float *restrict x, const float *restrict y, size_t count) {
    for (size_t i = 0; i < count; i++) x[i] += y[i];
}
EACH_LEVEL(void, add, (float *restrict x, const float *restrict y, size_t count), (x, y, count))

BODY void rotate_halves(float *head, const float *cosine, const float *sine, size_t size) {
    for (size_t i = 0; i < size / 2; i++) {
        const float a = head[i], b = head[i + size / 2];
        head[i] = a * cosine[i] - b * sine[i];
        head[i + size / 2] = b * cosine[i] + a * sine[i];
    }
}
EACH_LEVEL(
    void, rotate_halves, (float *head, const float *cosine, const float *sine, size_t size), (head, cosine, sine, size)
)

BODY void rotate_pairs(float *head, const float *cosine, const float *sine, size_t size) {
    for (size_t i = 0; i < size / 2; i++) {
        const float a = head[2 * i], b = head[2 * i + 1];
        head[2 * i] = a * cosine[i] - b * sine[i];
        head[2 * i + 1] = b * cosine[i] + a * sine[i];
    }
}
EACH_LEVEL(
    void, rotate_pairs, (float *head, const float *cosine, const float *sine, size_t size), (head, cosine, sine, size)
)

BODY float greatest(const float *x, size_t count) {
    float lanes[LANES];
    for (int l = 0; l < LANES; l++) lanes[l] = -INFINITY;
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int l = 0; l < LANES; l++) lanes[l] = x[i + (size_t)l] > lanes[l] ? x[i + (size_t)l] : lanes[l];
    float result = -INFINITY;
    for (int l = 0; l < LANES; l++) result = lanes[l] > result ? lanes[l] : result;
    for (; i < count; i++) result = x[i] > result ? x[i] : result;
    return result;
}

BODY void softmax(float *x, size_t count, float scale) {
    const float highest = greatest(x, count) * scale;
    float lanes[LANES] = {};
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int l = 0; l < LANES; l++) {
            const float e = exponential(x[i + (size_t)l] * scale - highest);
            x[i + (size_t)l] = e;
            lanes[l] += e;
        }
    float sum = sum_of_lanes(lanes);
    for (; i < count; i++) sum += x[i] = exponential(x[i] * scale - highest);
    const float inverse = 1.0f / sum;
    for (i = 0; i < count; i++) x[i] *= inverse;
}
EACH_LEVEL(void, softmax, (float *x, size_t count, float scale), (x, count, scale))

BODY double log_sum_exp(const float *x, size_t count) {
    const float highest = greatest(x, count);
    double lanes[LANES] = {};
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int l = 0; l < LANES; l++) lanes[l] += (double)exponential(x[i + (size_t)l] - highest);
    double sum = sum_of_double_lanes(lanes);
    for (; i < count; i++) sum += (double)exponential(x[i] - highest);
    return log(sum) + (double)highest;
}
EACH_LEVEL(double, log_sum_exp, (const float *x, size_t count), (x, count))

BODY double mean_difference(const float *x, const float *y, size_t count) {
    const float highest = greatest(x, count);
    double sums[LANES] = {}, weighted[LANES] = {};
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int l = 0; l < LANES; l++) {
            const float e = exponential(x[i + (size_t)l] - highest);
            const double d = (double)x[i + (size_t)l] - (double)y[i + (size_t)l];
            sums[l] += (double)e;
            weighted[l] += e > 0 ? (double)e * d : 0;
        }
    double sum = sum_of_double_lanes(sums), total = sum_of_double_lanes(weighted);
    for (; i < count; i++) {
        const float e = exponential(x[i] - highest);
        sum += (double)e;
        if (e > 0) total += (double)e * ((double)x[i] - (double)y[i]);
    }
    return total / sum;
}
EACH_LEVEL(double, mean_difference, (const float *x, const float *y, size_t count), (x, y, count))

BODY size_t index_of_greatest(const float *x, size_t count) {
    const float highest = greatest(x, count);
    size_t i = 0;
    while (i < count && x[i] != highest) i++;
    return i;
}
EACH_LEVEL(size_t, index_of_greatest, (const float *x, size_t count), (x, count))

BODY float f32_at(const void *x, size_t i) {
    float value;
    memcpy(&value, (const uint8_t *)x + 4 * i, 4);
    return value;
}
BODY float bf16_at(const void *x, size_t i) {
    uint16_t half;
    memcpy(&half, (const uint8_t *)x + 2 * i, 2);
    return float_of((uint32_t)half << 16);
}

// Four vectors of sums, so that an addition need not wait for the one before it.
#define DOT(name, at)                                                                                                  \
    BODY float name(const void *x, const float *y, size_t count) {                                                     \
        float lanes[4 * LANES] = {};                                                                                   \
        size_t i = 0;                                                                                                  \
        for (; i + 4 * LANES <= count; i += 4 * LANES)                                                                 \
            for (int l = 0; l < 4 * LANES; l++) lanes[l] += at(x, i + (size_t)l) * y[i + (size_t)l];                   \
        for (; i + LANES <= count; i += LANES)                                                                         \
            for (int l = 0; l < LANES; l++) lanes[l] += at(x, i + (size_t)l) * y[i + (size_t)l];                       \
        for (int l = 0; l < LANES; l++)                                                                                \
            lanes[l] += lanes[l + LANES] + (lanes[l + 2 * LANES] + lanes[l + 3 * LANES]);                              \
        float sum = sum_of_lanes(lanes);                                                                               \
        for (; i < count; i++) sum += at(x, i) * y[i];                                                                 \
        return sum;                                                                                                    \
    }                                                                                                                  \
    EACH_LEVEL(float, name, (const void *x, const float *y, size_t count), (x, y, count))
DOT(dot_f32, f32_at)
DOT(dot_bf16, bf16_at)

BODY void normalize(const float *x, float *output, size_t count) {
    double lanes[LANES] = {};
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int l = 0; l < LANES; l++) lanes[l] += (double)x[i + (size_t)l] * (double)x[i + (size_t)l];
    double sum = sum_of_double_lanes(lanes);
    for (; i < count; i++) sum += (double)x[i] * (double)x[i];
    const double scale = sum > 0 ? 1.0 / __builtin_sqrt(sum) : 0;
    for (i = 0; i < count; i++) output[i] = (float)((double)x[i] * scale);
}
EACH_LEVEL(void, normalize, (const float *x, float *output, size_t count), (x, output, count))

BODY void difference_and_sum(const float *u, const float *v, size_t count, double *difference, double *sum) {
    float minus[LANES] = {}, plus[LANES] = {};
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int l = 0; l < LANES; l++) {
            const float d = u[i + (size_t)l] - v[i + (size_t)l], s = u[i + (size_t)l] + v[i + (size_t)l];
            minus[l] += d * d;
            plus[l] += s * s;
        }
    double minus_sum = (double)sum_of_lanes(minus), plus_sum = (double)sum_of_lanes(plus);
    for (; i < count; i++) {
        const double d = (double)u[i] - (double)v[i], s = (double)u[i] + (double)v[i];
        minus_sum += d * d;
        plus_sum += s * s;
    }
    *difference = minus_sum;
    *sum = plus_sum;
}
EACH_LEVEL(
    void, difference_and_sum, (const float *u, const float *v, size_t count, double *difference, double *sum),
    (u, v, count, difference, sum)
)
