// Adds a product of two thin matrices to a weight: what a merge of an adapter computes.
#include "variants.h"

#include <math.h>
#include <string.h>

enum { LANES = 16, TILE_ROWS = 6 };

// Every product is added to the sum with one rounding, over the ranks in order: PyTorch's f32 product has the same bits.
BODY void low_rank_tile(
    const resect_low_rank_shape *s, const float *left, const float *right, float *values, const int rows, size_t columns
) {
    f32x16 sums[TILE_ROWS] = {};
    for (size_t k = 0; k < s->rank; k++) {
        f32x16 factor;
        memcpy(&factor, right + k * s->right_stride, sizeof factor);
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++)
            sums[i] = __builtin_elementwise_fma(left[i * s->rank + k] - (f32x16){}, factor, sums[i]);
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        float *row = values + i * s->columns;
        f32x16 sum = {};
        memcpy(&sum, row, columns * sizeof(float));
        sum = sum + sums[i] * s->scale;
        memcpy(row, &sum, columns * sizeof(float));
    }
}

BODY void low_rank_rows(
    const resect_low_rank_shape *s, const float *left, const float *right, float *values, const int rows
) {
    size_t column = 0;
    for (; column + LANES <= s->columns; column += LANES)
        low_rank_tile(s, left, right + column, values + column, rows, LANES);
    if (column < s->columns) low_rank_tile(s, left, right + column, values + column, rows, s->columns - column);
}

BODY void add_low_rank(const resect_low_rank_shape *s, const float *left, const float *right, float *values) {
    size_t row = 0;
    for (; row + TILE_ROWS <= s->rows; row += TILE_ROWS)
        low_rank_rows(s, left + row * s->rank, right, values + row * s->columns, TILE_ROWS);
    for (; row < s->rows; row++) low_rank_rows(s, left + row * s->rank, right, values + row * s->columns, 1);
}

typedef void (*low_rank_fn)(
    const resect_low_rank_shape *s, const float *left, const float *right, float *values);
VARIANTS(
    static low_rank_fn, add_low_rank,
    (const resect_low_rank_shape *s, const float *left, const float *right, float *values), (s, left, right, values))

void resect_add_low_rank_of(
    const resect_low_rank_shape *shape, const float *left, const float *right, float *values, int level
) {
    resect_add_low_rank[level](shape, left, right, values);
}
