// F32, F16, BF16 and F64: one element a block.
#include "half.h"

BODY void decode_f32(const void *restrict source, float *restrict output, size_t count) {
    memcpy(output, source, count * 4);
}
DECODER(decode_f32)

BODY void write_f32(const float *restrict source, void *restrict output, size_t count) {
    memcpy(output, source, count * 4);
}
PLAIN_ENCODER(encode_f32, write_f32)

BODY void decode_f16(const void *restrict source, float *restrict output, size_t count) {
    const uint8_t *bytes = source;
    for (size_t i = 0; i < count; i++) output[i] = half_at(bytes + 2 * i);
}
DECODER(decode_f16)

BODY void write_f16(const float *restrict source, void *restrict output, size_t count) {
    uint8_t *bytes = output;
    for (size_t i = 0; i < count; i++) set_half(bytes + 2 * i, source[i]);
}
PLAIN_ENCODER(encode_f16, write_f16)

BODY void decode_bf16(const void *restrict source, float *restrict output, size_t count) {
    const uint8_t *bytes = source;
    for (size_t i = 0; i < count; i++) {
        uint16_t value;
        memcpy(&value, bytes + 2 * i, 2);
        output[i] = float_of_bfloat(value);
    }
}
DECODER(decode_bf16)

BODY void write_bf16(const float *restrict source, void *restrict output, size_t count) {
    uint8_t *bytes = output;
    for (size_t i = 0; i < count; i++) {
        const uint16_t value = bfloat_of_float(source[i]);
        memcpy(bytes + 2 * i, &value, 2);
    }
}
PLAIN_ENCODER(encode_bf16, write_bf16)

BODY void decode_f64(const void *restrict source, float *restrict output, size_t count) {
    const uint8_t *bytes = source;
    for (size_t i = 0; i < count; i++) {
        double value;
        memcpy(&value, bytes + 8 * i, 8);
        output[i] = (float)value;
    }
}
DECODER(decode_f64)

void resect_to_bf16(const float *restrict source, uint16_t *restrict output, size_t count) {
    extern const resect_encode_fn resect_encode_bf16[];
    resect_encode_bf16[resect_best_level()](source, NULL, output, 1, count);
}
