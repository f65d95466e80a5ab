// f16 and bf16, one value at a time, without branches, so that loops over them become vector code.
#ifndef RESECT_HALF_H
#define RESECT_HALF_H

#include "variants.h"
#include <string.h>

BODY uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}

BODY float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

// Normal numbers shift into place and are scaled; subnormal ones are made by a subtraction that normalizes them.
BODY float float_of_half(uint16_t half) {
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = (uint32_t)(half & 0x7fff);
    const uint32_t special = rest >= 0x7c00 ? 0x70000000u : 0u;
    const float normal = float_of((rest << 13) + 0x38000000u + (special >> 1));
    const float subnormal = float_of(rest | 0x3f000000u) - 0.5f;
    return float_of(sign | bits_of(rest < 0x400 ? subnormal : normal));
}

// Rounds to nearest, ties to even: adding a power of two of the right size makes the adder do the rounding.
BODY uint16_t half_of_float(float value) {
    const uint32_t bits = bits_of(value), magnitude = bits & 0x7fffffffu;
    const float scaled = (float_of(magnitude) * 0x1p+112f) * 0x1p-110f;
    uint32_t exponent = (magnitude << 1) & 0xff000000u;
    exponent = exponent < 0x71000000u ? 0x71000000u : exponent;
    const uint32_t sum = bits_of(float_of((exponent >> 1) + 0x07800000u) + scaled);
    const uint32_t rounded = ((sum >> 13) & 0x7c00u) + (sum & 0x0fffu);
    return (uint16_t)(((bits >> 16) & 0x8000u) | (magnitude > 0x7f800000u ? 0x7e00u : rounded));
}

BODY float float_of_bfloat(uint16_t value) { return float_of((uint32_t)value << 16); }

BODY uint16_t bfloat_of_float(float value) {
    const uint32_t bits = bits_of(value);
    const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? (bits >> 16) | 64u : rounded);
}

BODY float half_at(const uint8_t *bytes) {
    uint16_t half;
    memcpy(&half, bytes, 2);
    return float_of_half(half);
}

BODY void set_half(uint8_t *bytes, float value) {
    const uint16_t half = half_of_float(value);
    memcpy(bytes, &half, 2);
}

#endif
