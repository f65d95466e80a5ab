// The inner loops: element casts, block codecs, matrix products, and what a decoder layer needs between them.
// No allocation, no input or output, no global state. Sources and outputs may not overlap; addresses of encoded
// data need no alignment. Counts are elements, and fill whole blocks.
#ifndef RESECT_CKERNELS_H
#define RESECT_CKERNELS_H

#include <stddef.h>
#include <stdint.h>

// The instruction sets that one binary holds, worst first. Machines other than x86-64 have the baseline only.
enum { RESECT_BASELINE, RESECT_X86_64_V3, RESECT_X86_64_V4, RESECT_LEVELS };

// The best level that this machine runs, or the one that the environment variable RESECT_CPU names: baseline, v3, v4.
int resect_best_level(void);
// What RESECT_CPU asks for in vain; NULL when it is not set or was followed.
const char *resect_refused_level(void);

// Codecs. The bytes are the same on every level: those of ggml's reference encoders and decoders. Encoders take rows
// that fill whole blocks, and how much each column of a row matters: row_length weights, or NULL.
typedef void (*resect_decode_fn)(const void *restrict source, float *restrict output, size_t count);
typedef void (*resect_encode_fn)(
    const float *restrict source, const float *restrict importance, void *restrict output, size_t rows,
    size_t row_length);

// The codec of a type, by ggml's number for it; NULL when there is none.
resect_decode_fn resect_decoder(uint32_t ggml_type, int level);
resect_encode_fn resect_encoder(uint32_t ggml_type, int level);
// Whether the encoder of a type looks at the importance of columns.
int resect_uses_importance(uint32_t ggml_type);

// The place of the first value that is NaN or whose magnitude is above the limit; count when there is none.
size_t resect_first_beyond(const float *source, size_t count, float limit);

// Codes of four bits. A word holds eight, the first in its lowest bits: neighbours of a row, or the eight rows of `codes`,
// each `count` long, in an order. Counts are words.
void resect_join_nibbles(const uint8_t *codes, uint32_t *words, size_t count, int level);
void resect_split_nibbles(const void *words, uint8_t *codes, size_t count, int level);
void resect_join_nibble_rows(const uint8_t *codes, const uint8_t *order, uint32_t *words, size_t count, int level);
void resect_split_nibble_rows(const uint32_t *words, const uint8_t *order, uint8_t *codes, size_t count, int level);

// How groups of neighbours become codes of four bits. A value is (code - offset) * scale, and code * scale + offset by
// the rule of MLX. compressed-tensors adds the offset before it rounds, and rounds every step to the type of the
// weights; GPTQ and AWQ round in f32 and then add.
enum { RESECT_ROUND_MLX, RESECT_ADD_THEN_ROUND, RESECT_ROUND_THEN_ADD };
enum { RESECT_AS_F32, RESECT_AS_F16, RESECT_AS_BF16 };
typedef struct {
    size_t size;
    int kind, type, scale_type, symmetric;
    float least_scale;  // in place of zero
    float least_offset;
} resect_group_rule;

// Writes the scale and the offset of each group, as they are stored, and the codes, one a byte, unless they are NULL.
// Gives the first group that cannot be coded, because a value or the scale is not finite; else `groups`.
size_t resect_round_groups_of(
    const resect_group_rule *rule, const float *x, size_t groups, float *scales, float *offsets, uint8_t *codes,
    int level);
// The values of codes.
void resect_group_values(
    const uint8_t *codes, const float *scales, const float *offsets, int is_bias, size_t groups, size_t size,
    float *output, int level);

// Floats of four bits in blocks whose scales are kept apart, two codes a byte: the first in the high half where the
// order is RESECT_HIGH_FIRST. Blocks go over the whole run, and the last one may be short.
enum { RESECT_LOW_FIRST, RESECT_HIGH_FIRST };

// The largest magnitude of each block; what is not a number is larger than any.
void resect_largest_of_blocks(const float *x, size_t count, size_t block, float *largest, int level);
// The code of each value, divided by the largest of its block, among sixteen levels: codes[how many of the fifteen
// bounds lie below it]. A block is a multiple of 16; the first code is in the high half, and a last one without a
// partner gets that of zero beside it.
void resect_encode_levels(
    const float *x, size_t count, size_t block, const float *largest, const float *bounds, const uint8_t *codes,
    uint8_t *output, int level);
// E2M1 codes of x / scale, the first in the low half; a block is a multiple of 16 and divides the count. Halves go to
// the even code, as compressed-tensors rounds; or down, as MLX does, whose quotients are of the type of the weights
// (RESECT_AS_F32 and so on), and where a quotient beyond all bounds counts as zero.
enum { RESECT_TIES_EVEN, RESECT_TIES_DOWN };
void resect_encode_e2m1(
    const float *x, size_t count, size_t block, const float *scales, int ties, int type, uint8_t *output, int level);
// values[code] * scale of the block.
void resect_decode_nibbles(
    const uint8_t *source, size_t count, size_t block, const float *values, const float *scales, int order,
    float *output, int level);

// E4M3 with one NaN and no infinity; what is too large becomes 448.
void resect_decode_e4m3(const uint8_t *restrict source, float *restrict output, size_t count, int level);
void resect_encode_e4m3(const float *restrict source, uint8_t *restrict output, size_t count, int level);
// x *= scale of the block, the last of which may be short.
void resect_multiply_blocks(float *x, size_t count, size_t block, const float *scales, int level);

// c[m][n] = sum over k of a[m][k] * b[k][n]. Neighbours in k of a, and in n of b and c, lie side by side; rows lie
// a_stride, b_stride and c_stride elements apart. With accumulate, c is added to. Rows of b can be read up to the next
// multiple of RESECT_PANEL elements; what lies beyond n is not used. A sum runs over k in order.
typedef struct {
    size_t m, n, k, a_stride, b_stride, c_stride;
    int accumulate;
} resect_matmul_shape;
enum { RESECT_PANEL = 32 };
void resect_matmul_f32(const resect_matmul_shape *shape, const float *a, const float *b, float *c, int level);

// c[m][n] += sum over k of a[m][k] * b[k][n] in f64: the same bits on every level. Rows of a lie a_row elements apart, and the
// terms of a sum a_k; n and the strides of b and c are multiples of 8. A sum runs over k in order.
typedef struct {
    size_t m, n, k, a_row, a_k, b_stride, c_stride;
} resect_f64_product;
void resect_multiply_f64(const resect_f64_product *shape, const double *a, const double *b, double *c, int level);

// The same by the CPU's bf16 dot product, with sums in f32: an element of a and b is a pair of bf16, neighbours in k.
int resect_has_bf16(void);
void resect_matmul_bf16(const resect_matmul_shape *shape, const uint32_t *a, const uint32_t *b, float *c);

// values[m][n] += scale * (sum over k of left[m][k] * right[k][n]). Values and left are contiguous; rows of right lie
// right_stride elements apart and can be read up to the next multiple of 16. Each product is added with one rounding, in
// the order of k, on every level.
typedef struct {
    size_t rows, columns, rank, right_stride;
    float scale;
} resect_low_rank_shape;
void resect_add_low_rank_of(
    const resect_low_rank_shape *shape, const float *left, const float *right, float *values, int level);

// output[c][r] = source[r][c], for elements of four bytes: what turns rows of weights into the b of a product.
void resect_transpose(
    const uint32_t *source, size_t rows, size_t columns, size_t stride, uint32_t *output, size_t output_stride);

// f32 to bf16, rounded to nearest, ties to even.
void resect_to_bf16(const float *restrict source, uint16_t *restrict output, size_t count);

// output = x / sqrt(mean(x^2) + epsilon) * weight, over one row of count values.
void resect_rms_norm(const float *x, const float *weight, float *output, size_t count, float epsilon);
// x += y
void resect_add(float *restrict x, const float *restrict y, size_t count);
// output = (x - mean) / sqrt(variance + epsilon) * weight + bias over one row; weight and bias may be NULL.
void resect_layer_norm(
    const float *x, const float *weight, const float *bias, float *output, size_t count, float epsilon);
// x += scale * y
void resect_add_scaled(float *restrict x, const float *restrict y, size_t count, float scale);
// x *= scale
void resect_multiply_by(float *x, size_t count, float scale);
// x between -bound and bound
void resect_clamp(float *x, size_t count, float bound);
// Activations: x = a(x); gate = a(gate) * up. silu is x sigmoid(x), gelu x (1 + erf(x / sqrt 2)) / 2, gelu_tanh its
// approximation by a hyperbolic tangent, relu2 the square of max(x, 0).
void resect_silu(float *x, size_t count);
void resect_gelu(float *x, size_t count);
void resect_gelu_tanh(float *x, size_t count);
void resect_relu2(float *x, size_t count);
void resect_silu_times(float *restrict gate, const float *restrict up, size_t count);
void resect_gelu_times(float *restrict gate, const float *restrict up, size_t count);
void resect_gelu_tanh_times(float *restrict gate, const float *restrict up, size_t count);
void resect_relu2_times(float *restrict gate, const float *restrict up, size_t count);
// x = cap * tanh(x * scale / cap)
void resect_soft_cap(float *x, size_t count, float scale, float cap);
// Rotates one head of `size` values in place; cosine and sine hold size/2 values. Halves are `size/2` apart, or
// pairs are neighbours.
void resect_rotate_halves(float *head, const float *cosine, const float *sine, size_t size);
void resect_rotate_pairs(float *head, const float *cosine, const float *sine, size_t size);
// x = exp(x * scale - max) / sum over the row.
void resect_softmax(float *x, size_t count, float scale);
// log(sum(exp(x))) of a row, in double precision beyond the exponentials.
double resect_log_sum_exp(const float *x, size_t count);
// The sum of x[i] * y[i], for x of f32 or bf16 at any address; sums run over lanes.
float resect_dot_f32(const void *x, const float *y, size_t count);
float resect_dot_bf16(const void *x, const float *y, size_t count);
// The mean of x - y, each element weighted by exp(x): the sum of softmax(x) (x - y). Elements of no weight do not count.
double resect_mean_difference(const float *x, const float *y, size_t count);
// The index of the first of the greatest elements; NaN is never the greatest. count when there is none.
size_t resect_index_of_greatest(const float *x, size_t count);
// x = x / |x|, with the norm in double precision; a zero row stays zero.
void resect_normalize(const float *x, float *output, size_t count);
// The squared lengths of u - v and u + v.
void resect_difference_and_sum(const float *u, const float *v, size_t count, double *difference, double *sum);

// Backward passes of the above. `gradient` is the derivative of the loss by the result.
// x_gradient += the derivative by x of resect_rms_norm.
void resect_rms_norm_backward(
    const float *restrict x, const float *restrict weight, const float *restrict gradient, float *restrict x_gradient,
    size_t count, float epsilon);
// gradient = the derivative by the scores, from the probabilities that resect_softmax gave; x = scores before the scale.
void resect_softmax_backward(const float *restrict probabilities, float *restrict gradient, size_t count, float scale);
// From x before an activation: value = a(x); x becomes the derivative by it.
void resect_silu_backward(float *restrict x, const float *restrict gradient, float *restrict value, size_t count);
void resect_gelu_backward(float *restrict x, const float *restrict gradient, float *restrict value, size_t count);
void resect_gelu_tanh_backward(float *restrict x, const float *restrict gradient, float *restrict value, size_t count);
void resect_relu2_backward(float *restrict x, const float *restrict gradient, float *restrict value, size_t count);
// From gate and up before resect_silu_times: product = silu(gate) * up; gate and up become the derivatives by them.
void resect_silu_times_backward(
    float *restrict gate, float *restrict up, const float *restrict gradient, float *restrict product, size_t count);
void resect_gelu_times_backward(
    float *restrict gate, float *restrict up, const float *restrict gradient, float *restrict product, size_t count);
void resect_gelu_tanh_times_backward(
    float *restrict gate, float *restrict up, const float *restrict gradient, float *restrict product, size_t count);
void resect_relu2_times_backward(
    float *restrict gate, float *restrict up, const float *restrict gradient, float *restrict product, size_t count);
// x_gradient += the derivative by x of resect_layer_norm.
void resect_layer_norm_backward(
    const float *restrict x, const float *weight, const float *restrict gradient, float *restrict x_gradient,
    size_t count, float epsilon);
// gradient by x before resect_soft_cap, from its results.
void resect_soft_cap_backward(
    float *restrict gradient, const float *restrict capped, size_t count, float scale, float cap);
// x = exp(x - shift) * factor
void resect_exponentials(float *x, size_t count, float shift, float factor);
// output = x, with each element dropped with a chance of threshold / 2^32 and the others times `scale`. The choice
// depends on the key and on first + the index alone.
void resect_dropout(
    const float *restrict x, float *restrict output, size_t count, uint64_t first, uint64_t key, uint32_t threshold,
    float scale);
// x += y, with the elements of y dropped in the same way.
void resect_add_dropout(
    float *restrict x, const float *restrict y, size_t count, uint64_t first, uint64_t key, uint32_t threshold,
    float scale);

#endif
