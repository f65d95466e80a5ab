// C = A B in f32. Each instruction set has the tile that its registers hold.
#include "variants.h"
#include <string.h>

// Here a multiply-add may be one instruction: sums need not agree between instruction sets.
#pragma STDC FP_CONTRACT ON

typedef float lanes16 __attribute__((vector_size(64), aligned(4)));
typedef float lanes8 __attribute__((vector_size(32), aligned(4)));
typedef float lanes4 __attribute__((vector_size(16), aligned(4)));
#define MULTIPLY_ADD_F32(sum, left, right) ((sum) + (left) * (right))

#if defined(__x86_64__)
#define NAME matmul_v4
#define TARGET TARGET_V4
#define ELEMENT float
#define WIDTH 16
#define ROWS 14
#define SUM lanes16
#define RIGHT lanes16
#define MULTIPLY_ADD MULTIPLY_ADD_F32
#include "matmul-tile.h"

#define NAME matmul_v3
#define TARGET TARGET_V3
#define ELEMENT float
#define WIDTH 8
#define ROWS 6
#define SUM lanes8
#define RIGHT lanes8
#define MULTIPLY_ADD MULTIPLY_ADD_F32
#include "matmul-tile.h"
#endif

#define NAME matmul_baseline
#define TARGET
#define ELEMENT float
#define WIDTH 4
#define ROWS 6
#define SUM lanes4
#define RIGHT lanes4
#define MULTIPLY_ADD MULTIPLY_ADD_F32
#include "matmul-tile.h"

void resect_matmul_f32(const resect_matmul_shape *shape, const float *a, const float *b, float *c, int level) {
    switch (level) {
#if defined(__x86_64__)
    case RESECT_X86_64_V4: matmul_v4(shape, a, b, c); break;
    case RESECT_X86_64_V3: matmul_v3(shape, a, b, c); break;
#endif
    default: matmul_baseline(shape, a, b, c);
    }
}

typedef uint32_t words4 __attribute__((vector_size(16), aligned(4)));

// Four columns of four rows become four rows.
static inline void transpose_square(const uint32_t *source, size_t stride, uint32_t *output, size_t output_stride) {
    const words4 a = *(const words4 *)source, b = *(const words4 *)(source + stride);
    const words4 c = *(const words4 *)(source + 2 * stride), d = *(const words4 *)(source + 3 * stride);
    const words4 low_ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), high_ab = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    const words4 low_cd = __builtin_shufflevector(c, d, 0, 4, 1, 5), high_cd = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    *(words4 *)output = __builtin_shufflevector(low_ab, low_cd, 0, 1, 4, 5);
    *(words4 *)(output + output_stride) = __builtin_shufflevector(low_ab, low_cd, 2, 3, 6, 7);
    *(words4 *)(output + 2 * output_stride) = __builtin_shufflevector(high_ab, high_cd, 0, 1, 4, 5);
    *(words4 *)(output + 3 * output_stride) = __builtin_shufflevector(high_ab, high_cd, 2, 3, 6, 7);
}

// Transposes squares of 16 by 16, so that cache lines of both sides are used up before they are evicted.
void resect_transpose(const uint32_t *source, size_t rows, size_t columns, size_t stride, uint32_t *output,
                      size_t output_stride) {
    const size_t whole_rows = rows / 4 * 4, whole_columns = columns / 4 * 4;
    for (size_t r = 0; r < whole_rows; r += 16)
        for (size_t c = 0; c < whole_columns; c += 16)
            for (size_t i = c; i < c + 16 && i < whole_columns; i += 4)
                for (size_t j = r; j < r + 16 && j < whole_rows; j += 4)
                    transpose_square(source + j * stride + i, stride, output + i * output_stride + j, output_stride);
    for (size_t i = 0; i < columns; i++)
        for (size_t j = i < whole_columns ? whole_rows : 0; j < rows; j++)
            output[i * output_stride + j] = source[j * stride + i];
}
