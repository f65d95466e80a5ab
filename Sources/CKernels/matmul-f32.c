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

// Squares of 16 go through the cache together, so that neither side is read a line at a time.
void resect_transpose(const uint32_t *source, size_t rows, size_t columns, size_t stride, uint32_t *output,
                      size_t output_stride) {
    for (size_t r = 0; r < rows; r += 16)
        for (size_t c = 0; c < columns; c += 16)
            for (size_t i = c; i < c + 16 && i < columns; i++)
                for (size_t j = r; j < r + 16 && j < rows; j++)
                    output[i * output_stride + j] = source[j * stride + i];
}
