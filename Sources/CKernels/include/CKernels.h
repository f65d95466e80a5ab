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
// The best level that this machine runs.
int resect_machine_level(void);
// The value of RESECT_CPU when this machine cannot run it or it is no level; NULL when it is unset or in use.
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

// The index of the first value that is NaN or whose magnitude is above the limit; count when there is none.
size_t resect_first_beyond(const float *source, size_t count, float limit);

// 4-bit codes, one per byte, and 32-bit words of eight codes, the first in the lowest bits. The eight codes of a word are
// neighbours, or one of each of the eight rows of `codes`, [8, count], where nibble j is row order[j]. Counts are words.
void resect_join_nibbles(const uint8_t *codes, uint32_t *words, size_t count, int level);
void resect_split_nibbles(const void *words, uint8_t *codes, size_t count, int level);
void resect_join_nibble_rows(const uint8_t *codes, const uint8_t *order, uint32_t *words, size_t count, int level);
void resect_split_nibble_rows(const uint32_t *words, const uint8_t *order, uint8_t *codes, size_t count, int level);

// How groups of neighbouring values become 4-bit codes. A value is (code - offset) * scale, where the offset is the zero
// point; in MLX it is code * scale + offset, where the offset is the bias. compressed-tensors (ADD_THEN_ROUND) adds the
// offset before it rounds, and rounds every step to the type of the weights. GPTQ and AWQ (ROUND_THEN_ADD) round in f32
// and then add.
enum { RESECT_ROUND_MLX, RESECT_ADD_THEN_ROUND, RESECT_ROUND_THEN_ADD };
enum { RESECT_AS_F32, RESECT_AS_F16, RESECT_AS_BF16 };
typedef struct {
    size_t size;
    int kind, type, scale_type, symmetric;
    float least_scale;  // in place of zero
    float least_offset;
} resect_group_rule;

// Writes the scale and the offset of each group, rounded as they are stored, and one code per byte unless `codes` is NULL.
// Returns the index of the first group that has no codes, because a value or the scale is not finite; else `groups`.
size_t resect_round_groups_of(
    const resect_group_rule *rule, const float *x, size_t groups, float *scales, float *offsets, uint8_t *codes,
    int level);
// output = the values of codes, [groups, size].
void resect_group_values(
    const uint8_t *codes, const float *scales, const float *offsets, int is_bias, size_t groups, size_t size,
    float *output, int level);

// 4-bit floats in blocks whose scales are stored separately, two codes per byte; with RESECT_HIGH_FIRST the first of two is
// in the high half. Blocks cover all `count` values, and the last one may be short.
enum { RESECT_LOW_FIRST, RESECT_HIGH_FIRST };

// The largest magnitude of each block; NaN is larger than any number.
void resect_largest_of_blocks(const float *x, size_t count, size_t block, float *largest, int level);
// Divides each value by the largest of its block, and writes codes[how many of the fifteen bounds lie below it]. A block is
// a multiple of 16. The first of two codes is in the high half; if the count is odd, the code of zero follows the last.
void resect_encode_levels(
    const float *x, size_t count, size_t block, const float *largest, const float *bounds, const uint8_t *codes,
    uint8_t *output, int level);
// E2M1 codes of x / scale, the first of two in the low half; a block is a multiple of 16 and divides the count. Ties go to
// the even code, as in compressed-tensors, or down, as in MLX, where quotients are rounded to the type of the weights
// (RESECT_AS_F32 and so on) and an infinite quotient or NaN counts as zero.
enum { RESECT_TIES_EVEN, RESECT_TIES_DOWN };
void resect_encode_e2m1(
    const float *x, size_t count, size_t block, const float *scales, int ties, int type, uint8_t *output, int level);
// values[code] * scale of the block.
void resect_decode_nibbles(
    const uint8_t *source, size_t count, size_t block, const float *values, const float *scales, int order,
    float *output, int level);

// E4M3 with one NaN and no infinity; values that are too large become 448.
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

// resect_matmul_f32 by the CPU's bf16 dot product, with sums in f32: an element of a and b is a pair of bf16 that are
// neighbours in k, and k counts pairs. It needs resect_has_bf16.
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

// output[c][r] = source[r][c], for elements of four bytes. Makes b of a product from rows of weights.
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
// x = max(-bound, min(x, bound))
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

// Backward passes of the above. `gradient` is the gradient of the loss with respect to the result.
// x_gradient += the gradient with respect to x of resect_rms_norm.
void resect_rms_norm_backward(
    const float *restrict x, const float *restrict weight, const float *restrict gradient, float *restrict x_gradient,
    size_t count, float epsilon);
// gradient = that with respect to the scores before the scale, from the probabilities that resect_softmax wrote.
void resect_softmax_backward(const float *restrict probabilities, float *restrict gradient, size_t count, float scale);
// value = a(x), where x is the input of the activation; x becomes the gradient with respect to x.
void resect_silu_backward(float *restrict x, const float *restrict gradient, float *restrict value, size_t count);
void resect_gelu_backward(float *restrict x, const float *restrict gradient, float *restrict value, size_t count);
void resect_gelu_tanh_backward(float *restrict x, const float *restrict gradient, float *restrict value, size_t count);
void resect_relu2_backward(float *restrict x, const float *restrict gradient, float *restrict value, size_t count);
// product = a(gate) * up, where gate is the input of the activation; gate and up become the gradients with respect to them.
void resect_silu_times_backward(
    float *restrict gate, float *restrict up, const float *restrict gradient, float *restrict product, size_t count);
void resect_gelu_times_backward(
    float *restrict gate, float *restrict up, const float *restrict gradient, float *restrict product, size_t count);
void resect_gelu_tanh_times_backward(
    float *restrict gate, float *restrict up, const float *restrict gradient, float *restrict product, size_t count);
void resect_relu2_times_backward(
    float *restrict gate, float *restrict up, const float *restrict gradient, float *restrict product, size_t count);
// x_gradient += the gradient with respect to x of resect_layer_norm.
void resect_layer_norm_backward(
    const float *restrict x, const float *weight, const float *restrict gradient, float *restrict x_gradient,
    size_t count, float epsilon);
// gradient = that with respect to x before resect_soft_cap, from the values that it wrote.
void resect_soft_cap_backward(
    float *restrict gradient, const float *restrict capped, size_t count, float scale, float cap);
// x = exp(x - shift) * factor
void resect_exponentials(float *x, size_t count, float shift, float factor);
// output = x, with each element set to 0 with the probability threshold / 2^32 and the others times `scale`. The choice
// depends only on the key and on first + the index.
void resect_dropout(
    const float *restrict x, float *restrict output, size_t count, uint64_t first, uint64_t key, uint32_t threshold,
    float scale);
// x += y, with the elements of y dropped in the same way.
void resect_add_dropout(
    float *restrict x, const float *restrict y, size_t count, uint64_t first, uint64_t key, uint32_t threshold,
    float scale);

#endif
