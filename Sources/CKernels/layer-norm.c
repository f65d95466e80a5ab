// Layer norm, forward and backward, and functions that scale or clamp values.
#include "activations.h"

BODY float mean_of(const float *x, size_t count) {
    float lanes[LANES] = {};
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int l = 0; l < LANES; l++) lanes[l] += x[i + (size_t)l];
    float sum = sum_of_lanes(lanes);
    for (; i < count; i++) sum += x[i];
    return sum / (float)count;
}

BODY float inverse_deviation(const float *x, size_t count, float mean, float epsilon) {
    float lanes[LANES] = {};
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int l = 0; l < LANES; l++) {
            const float d = x[i + (size_t)l] - mean;
            lanes[l] += d * d;
        }
    float sum = sum_of_lanes(lanes);
    for (; i < count; i++) sum += (x[i] - mean) * (x[i] - mean);
    return 1.0f / __builtin_sqrtf(sum / (float)count + epsilon);
}

BODY void layer_norm(const float *x, const float *weight, const float *bias, float *output, size_t count,
                     float epsilon) {
    const float mean = mean_of(x, count), scale = inverse_deviation(x, count, mean, epsilon);
    for (size_t i = 0; i < count; i++) {
        const float y = (x[i] - mean) * scale;
        output[i] = (weight ? y * weight[i] : y) + (bias ? bias[i] : 0.0f);
    }
}
EACH_LEVEL(
    void, layer_norm,
    (const float *x, const float *weight, const float *bias, float *output, size_t count, float epsilon),
    (x, weight, bias, output, count, epsilon)
)

// With y = (x - mean) s and g = gradient * weight: s (g - mean(g) - y mean(g y)).
BODY void layer_norm_backward(const float *restrict x, const float *weight, const float *restrict gradient,
                              float *restrict x_gradient, size_t count, float epsilon) {
    const float mean = mean_of(x, count), scale = inverse_deviation(x, count, mean, epsilon);
    float sums[LANES] = {}, products[LANES] = {};
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int l = 0; l < LANES; l++) {
            const size_t k = i + (size_t)l;
            const float g = weight ? gradient[k] * weight[k] : gradient[k];
            sums[l] += g;
            products[l] += g * (x[k] - mean);
        }
    float sum = sum_of_lanes(sums), product = sum_of_lanes(products);
    for (; i < count; i++) {
        const float g = weight ? gradient[i] * weight[i] : gradient[i];
        sum += g;
        product += g * (x[i] - mean);
    }
    const float g_mean = sum / (float)count, along = product * scale * scale / (float)count;
    for (i = 0; i < count; i++) {
        const float g = weight ? gradient[i] * weight[i] : gradient[i];
        x_gradient[i] += scale * (g - g_mean - (x[i] - mean) * along);
    }
}
EACH_LEVEL(
    void, layer_norm_backward,
    (const float *restrict x, const float *weight, const float *restrict gradient, float *restrict x_gradient,
     size_t count, float epsilon),
    (x, weight, gradient, x_gradient, count, epsilon)
)

BODY void add_scaled(float *restrict x, const float *restrict y, size_t count, float scale) {
    for (size_t i = 0; i < count; i++) x[i] += scale * y[i];
}
EACH_LEVEL(
    void, add_scaled, (float *restrict x, const float *restrict y, size_t count, float scale), (x, y, count, scale)
)

BODY void multiply_by(float *x, size_t count, float scale) {
    for (size_t i = 0; i < count; i++) x[i] *= scale;
}
EACH_LEVEL(void, multiply_by, (float *x, size_t count, float scale), (x, count, scale))

BODY void clamp(float *x, size_t count, float bound) {
    for (size_t i = 0; i < count; i++) x[i] = x[i] > bound ? bound : x[i] < -bound ? -bound : x[i];
}
EACH_LEVEL(void, clamp, (float *x, size_t count, float bound), (x, count, bound))
