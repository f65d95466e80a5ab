// Derivatives of what a decoder layer does between its matrix products, and dropout.
#include "activations.h"

BODY float dot(const float *x, const float *y, size_t count) {
    float lanes[LANES] = {};
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int l = 0; l < LANES; l++) lanes[l] += x[i + (size_t)l] * y[i + (size_t)l];
    float sum = sum_of_lanes(lanes);
    for (; i < count; i++) sum += x[i] * y[i];
    return sum;
}

// With s = 1 / sqrt(mean(x^2) + epsilon) and g = gradient * weight: s g - x s^3 mean(g x).
BODY void rms_norm_backward(const float *restrict x, const float *restrict weight, const float *restrict gradient,
                            float *restrict x_gradient, size_t count, float epsilon) {
    float lanes[LANES] = {};
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int l = 0; l < LANES; l++)
            lanes[l] += gradient[i + (size_t)l] * weight[i + (size_t)l] * x[i + (size_t)l];
    float product = sum_of_lanes(lanes);
    for (; i < count; i++) product += gradient[i] * weight[i] * x[i];
    const float scale = 1.0f / __builtin_sqrtf(dot(x, x, count) / (float)count + epsilon);
    const float along = scale * scale * scale * (product / (float)count);
    for (i = 0; i < count; i++) x_gradient[i] += scale * (gradient[i] * weight[i]) - x[i] * along;
}
EACH_LEVEL(
    void, rms_norm_backward,
    (const float *restrict x, const float *restrict weight, const float *restrict gradient, float *restrict x_gradient,
     size_t count, float epsilon),
    (x, weight, gradient, x_gradient, count, epsilon)
)

BODY void softmax_backward(const float *restrict probabilities, float *restrict gradient, size_t count, float scale) {
    const float mean = dot(probabilities, gradient, count);
    for (size_t i = 0; i < count; i++) gradient[i] = probabilities[i] * (gradient[i] - mean) * scale;
}
EACH_LEVEL(
    void, softmax_backward, (const float *restrict probabilities, float *restrict gradient, size_t count, float scale),
    (probabilities, gradient, count, scale)
)

BODY void exponentials(float *x, size_t count, float shift, float factor) {
    for (size_t i = 0; i < count; i++) x[i] = exponential(x[i] - shift) * factor;
}
EACH_LEVEL(void, exponentials, (float *x, size_t count, float shift, float factor), (x, count, shift, factor))

// A word that depends on every bit of the index: a multiplication and two xor-shifts, twice (Wellons' lowbias32).
BODY uint32_t mixed(uint32_t x) {
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    return x ^ x >> 16;
}

// The high half of the index joins the key, so that the loop works on words of four bytes.
BODY uint32_t block_key(uint64_t key, uint64_t index) {
    return mixed((uint32_t)key ^ mixed((uint32_t)(key >> 32) ^ mixed((uint32_t)(index >> 32) + 0x9e3779b9u)));
}

BODY float kept(uint32_t key, uint32_t index, uint32_t threshold, float scale) {
    return mixed(mixed(index) ^ key) < threshold ? 0.0f : scale;
}

// Runs of elements whose index has the same high half.
#define EACH_KEPT(statement)                                                                                           \
    for (size_t i = 0; i < count;) {                                                                                   \
        const uint64_t index = first + i, left = 0x100000000u - (uint32_t)index;                                       \
        const size_t end = count - i < left ? count : i + (size_t)left;                                                \
        const uint32_t word = block_key(key, index);                                                                   \
        for (; i < end; i++) statement;                                                                                \
    }

BODY void dropout(const float *restrict x, float *restrict output, size_t count, uint64_t first, uint64_t key,
                  uint32_t threshold, float scale) {
    EACH_KEPT(output[i] = x[i] * kept(word, (uint32_t)(first + i), threshold, scale))
}
EACH_LEVEL(
    void, dropout,
    (const float *restrict x, float *restrict output, size_t count, uint64_t first, uint64_t key, uint32_t threshold,
     float scale),
    (x, output, count, first, key, threshold, scale)
)

BODY void add_dropout(float *restrict x, const float *restrict y, size_t count, uint64_t first, uint64_t key,
                      uint32_t threshold, float scale) {
    EACH_KEPT(x[i] += y[i] * kept(word, (uint32_t)(first + i), threshold, scale))
}
EACH_LEVEL(
    void, add_dropout,
    (float *restrict x, const float *restrict y, size_t count, uint64_t first, uint64_t key, uint32_t threshold,
     float scale),
    (x, y, count, first, key, threshold, scale)
)
