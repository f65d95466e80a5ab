// The activations of MLPs: alone, as the gate of another product, and backward.
#include "activations.h"

// erf to about two units in the last place: an odd rational function within 4, and 1 beyond.
BODY float error_function(float x) {
    const float b = x > 4.0f ? 4.0f : x < -4.0f ? -4.0f : x, s = b * b;
    float p = -2.72614225801306e-10f;
    p = p * s + 2.77068142495902e-08f;
    p = p * s - 2.10102402082508e-06f;
    p = p * s - 5.69250639462346e-05f;
    p = p * s - 7.34990630326855e-04f;
    p = p * s - 2.95459980854025e-03f;
    p = p * s - 1.60960333262415e-02f;
    float q = -1.45660718464996e-05f;
    q = q * s - 2.13374055278905e-04f;
    q = q * s - 1.68282697438203e-03f;
    q = q * s - 7.37332916720468e-03f;
    q = q * s - 1.42647390514189e-02f;
    return b * p / q;
}

// tanh from e^2x; x is bounded where the result is 1.
BODY float hyperbolic_tangent(float x) {
    const float b = x > 10.0f ? 10.0f : x < -10.0f ? -10.0f : x;
    return 1.0f - 2.0f / (exponential(2.0f * b) + 1.0f);
}

typedef struct {
    float value, slope;
} activated;

BODY activated of_silu(float x) {
    const float sigmoid = 1.0f / (1.0f + exponential(-x)), value = x * sigmoid;
    return (activated){x / (1.0f + exponential(-x)), sigmoid + value * (1.0f - sigmoid)};
}

BODY activated of_gelu(float x) {
    const float share = 0.5f * (1.0f + error_function(x * 0.70710678f));
    return (activated){x * share, share + x * 0.39894228f * exponential(-0.5f * x * x)};
}

BODY activated of_gelu_tanh(float x) {
    const float t = hyperbolic_tangent(0.79788456f * (x + 0.044715f * x * x * x));
    const float inner = 0.79788456f * (1.0f + 0.134145f * x * x);
    return (activated){0.5f * x * (1.0f + t), 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * inner};
}

BODY activated of_relu2(float x) {
    const float positive = x > 0.0f ? x : 0.0f;
    return (activated){positive * positive, 2.0f * positive};
}

#define ACTIVATION(name)                                                                                               \
    BODY void name(float *x, size_t count) {                                                                           \
        for (size_t i = 0; i < count; i++) x[i] = of_##name(x[i]).value;                                               \
    }                                                                                                                  \
    EACH_LEVEL(void, name, (float *x, size_t count), (x, count))                                                       \
    BODY void name##_times(float *restrict gate, const float *restrict up, size_t count) {                             \
        for (size_t i = 0; i < count; i++) gate[i] = of_##name(gate[i]).value * up[i];                                 \
    }                                                                                                                  \
    EACH_LEVEL(void, name##_times, (float *restrict gate, const float *restrict up, size_t count), (gate, up, count))  \
    BODY void name##_backward(float *restrict x, const float *restrict gradient, float *restrict value,                \
                              size_t count) {                                                                          \
        for (size_t i = 0; i < count; i++) {                                                                           \
            const activated a = of_##name(x[i]);                                                                       \
            value[i] = a.value;                                                                                        \
            x[i] = gradient[i] * a.slope;                                                                              \
        }                                                                                                              \
    }                                                                                                                  \
    EACH_LEVEL(                                                                                                        \
        void, name##_backward,                                                                                         \
        (float *restrict x, const float *restrict gradient, float *restrict value, size_t count),                      \
        (x, gradient, value, count)                                                                                    \
    )                                                                                                                  \
    BODY void name##_times_backward(float *restrict gate, float *restrict up, const float *restrict gradient,          \
                                    float *restrict product, size_t count) {                                           \
        for (size_t i = 0; i < count; i++) {                                                                           \
            const activated a = of_##name(gate[i]);                                                                    \
            const float u = up[i], d = gradient[i];                                                                    \
            product[i] = a.value * u;                                                                                  \
            up[i] = d * a.value;                                                                                       \
            gate[i] = d * u * a.slope;                                                                                 \
        }                                                                                                              \
    }                                                                                                                  \
    EACH_LEVEL(                                                                                                        \
        void, name##_times_backward,                                                                                   \
        (float *restrict gate, float *restrict up, const float *restrict gradient, float *restrict product,            \
         size_t count),                                                                                                \
        (gate, up, gradient, product, count)                                                                           \
    )
ACTIVATION(silu)
ACTIVATION(gelu)
ACTIVATION(gelu_tanh)
ACTIVATION(relu2)

BODY void soft_cap(float *x, size_t count, float scale, float cap) {
    const float factor = scale / cap;
    for (size_t i = 0; i < count; i++) x[i] = cap * hyperbolic_tangent(x[i] * factor);
}
EACH_LEVEL(void, soft_cap, (float *x, size_t count, float scale, float cap), (x, count, scale, cap))

BODY void soft_cap_backward(float *restrict gradient, const float *restrict capped, size_t count, float scale,
                            float cap) {
    const float inverse = 1.0f / cap;
    for (size_t i = 0; i < count; i++) {
        const float t = capped[i] * inverse;
        gradient[i] *= scale * (1.0f - t * t);
    }
}
EACH_LEVEL(
    void, soft_cap_backward,
    (float *restrict gradient, const float *restrict capped, size_t count, float scale, float cap),
    (gradient, capped, count, scale, cap)
)
