// The matrix product for one element type and one instruction set. Included once for each, with
//   NAME         the function to make        TARGET      its target attribute
//   ELEMENT      what one k of a operand is  WIDTH       lanes of a vector
//   ROWS         rows of a tile; it has two vectors of columns, as many sums as the registers hold
//   SUM, RIGHT   vector types of the sums and of a row of b
//   MULTIPLY_ADD(sum, left, right)  one element of a against a vector of b
// Lanes are columns, so that a sum runs over k in order, whatever the size of the tile.

#define GLUE_(a, b) a##b
#define GLUE(a, b) GLUE_(a, b)
#define TILE GLUE(NAME, _tile)
#define PANEL (2 * WIDTH)
#define UNROLL _Pragma("clang loop unroll(full)")

TARGET static inline __attribute__((always_inline)) void TILE(
    const resect_matmul_shape *s, const ELEMENT *a, const ELEMENT *b, float *c, const int rows, size_t columns
) {
    SUM sums[ROWS][2] = {};
    for (size_t k = 0; k < s->k; k++) {
        const RIGHT right0 = *(const RIGHT *)(b + k * s->b_stride);
        const RIGHT right1 = *(const RIGHT *)(b + k * s->b_stride + WIDTH);
        UNROLL for (int i = 0; i < rows; i++) {
            const ELEMENT left = a[(size_t)i * s->a_stride + k];
            sums[i][0] = MULTIPLY_ADD(sums[i][0], left, right0);
            sums[i][1] = MULTIPLY_ADD(sums[i][1], left, right1);
        }
    }
    UNROLL for (int i = 0; i < rows; i++) {
        float *row = c + (size_t)i * s->c_stride;
        float values[PANEL];
        memcpy(values, sums[i], sizeof values);
        if (columns == PANEL && !s->accumulate) {
            memcpy(row, values, sizeof values);
        } else {
            for (size_t j = 0; j < columns; j++) row[j] = s->accumulate ? row[j] + values[j] : values[j];
        }
    }
}

TARGET static void NAME(const resect_matmul_shape *s, const ELEMENT *a, const ELEMENT *b, float *c) {
    for (size_t n = 0; n < s->n; n += PANEL, b += PANEL, c += PANEL) {
        const size_t columns = s->n - n < PANEL ? s->n - n : PANEL;
        const ELEMENT *left = a;
        float *out = c;
        size_t m = 0;
        for (; m + ROWS <= s->m; m += ROWS, left += ROWS * s->a_stride, out += ROWS * s->c_stride)
            TILE(s, left, b, out, ROWS, columns);
        for (; m + 4 <= s->m; m += 4, left += 4 * s->a_stride, out += 4 * s->c_stride)
            TILE(s, left, b, out, 4, columns);
        for (; m < s->m; m++, left += s->a_stride, out += s->c_stride) TILE(s, left, b, out, 1, columns);
    }
}

#undef NAME
#undef TARGET
#undef ELEMENT
#undef WIDTH
#undef ROWS
#undef SUM
#undef RIGHT
#undef MULTIPLY_ADD
#undef TILE
#undef PANEL
#undef UNROLL
#undef GLUE
#undef GLUE_
