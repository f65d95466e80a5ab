// The kernel of each type, by ggml's number of the type.
#include "CKernels.h"

#define DECODERS(X)                                                                                                    \
    X(0, decode_f32) X(1, decode_f16) X(2, decode_q4_0) X(3, decode_q4_1) X(6, decode_q5_0) X(7, decode_q5_1)          \
    X(8, decode_q8_0) X(10, decode_q2_k) X(11, decode_q3_k) X(12, decode_q4_k) X(13, decode_q5_k)                      \
    X(14, decode_q6_k) X(20, decode_iq4_nl) X(23, decode_iq4_xs) X(28, decode_f64) X(30, decode_bf16)                  \
    X(39, decode_mxfp4) X(40, decode_nvfp4)
// Encoders that use the importance of columns, and those that ignore it.
#define WEIGHTED_ENCODERS(X)                                                                                           \
    X(2, encode_q4_0) X(3, encode_q4_1) X(6, encode_q5_0) X(7, encode_q5_1) X(10, encode_q2_k) X(11, encode_q3_k)      \
    X(12, encode_q4_k) X(13, encode_q5_k) X(14, encode_q6_k) X(20, encode_iq4_nl) X(23, encode_iq4_xs)
#define PLAIN_ENCODERS(X)                                                                                              \
    X(0, encode_f32) X(1, encode_f16) X(8, encode_q8_0) X(30, encode_bf16) X(39, encode_mxfp4) X(40, encode_nvfp4)

#define DECLARE_DECODER(number, name) extern const resect_decode_fn resect_##name[RESECT_LEVELS];
#define DECLARE_ENCODER(number, name) extern const resect_encode_fn resect_##name[RESECT_LEVELS];
DECODERS(DECLARE_DECODER)
WEIGHTED_ENCODERS(DECLARE_ENCODER)
PLAIN_ENCODERS(DECLARE_ENCODER)

#define CASE(number, name)                                                                                             \
    case number: return resect_##name[level];

resect_decode_fn resect_decoder(uint32_t ggml_type, int level) {
    switch (ggml_type) {
        DECODERS(CASE)
    default: return NULL;
    }
}

resect_encode_fn resect_encoder(uint32_t ggml_type, int level) {
    switch (ggml_type) {
        WEIGHTED_ENCODERS(CASE)
        PLAIN_ENCODERS(CASE)
    default: return NULL;
    }
}

#define YES(number, name)                                                                                              \
    case number: return 1;

int resect_uses_importance(uint32_t ggml_type) {
    switch (ggml_type) {
        WEIGHTED_ENCODERS(YES)
    default: return 0;
    }
}
