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
// Addresses this many bytes apart share a set of the L1 cache, which holds WAYS of their lines. Rows of a tile at such
// distances would evict each other, so a run of each is copied.
#define SET_DISTANCE 4096
#define WAYS 8
#define RUN 32
#define UNROLL _Pragma("clang loop unroll(full)")

TARGET static inline __attribute__((always_inline)) void TILE(
    const resect_matmul_shape *s, const ELEMENT *a, const ELEMENT *b, float *c, const int rows, size_t columns
) {
    SUM sums[ROWS][2] = {};
    ELEMENT copies[ROWS][RUN];
    const int collide = rows > WAYS && s->a_stride * sizeof(ELEMENT) % SET_DISTANCE == 0;
    for (size_t start = 0; start < s->k; start += RUN) {
        const size_t end = s->k - start < RUN ? s->k : start + RUN;
        const ELEMENT *left = a + start;
        size_t stride = s->a_stride;
        if (collide) {
            if (end - start == RUN) {
                UNROLL for (int i = 0; i < rows; i++) memcpy(copies[i], left + (size_t)i * stride, sizeof copies[i]);
            } else {
                for (int i = 0; i < rows; i++)
                    memcpy(copies[i], left + (size_t)i * stride, (end - start) * sizeof(ELEMENT));
            }
            left = copies[0];
            stride = RUN;
        }
        for (size_t k = start; k < end; k++, left++) {
            const RIGHT right0 = *(const RIGHT *)(b + k * s->b_stride);
            const RIGHT right1 = *(const RIGHT *)(b + k * s->b_stride + WIDTH);
            UNROLL for (int i = 0; i < rows; i++) {
                const ELEMENT value = left[(size_t)i * stride];
                sums[i][0] = MULTIPLY_ADD(sums[i][0], value, right0);
                sums[i][1] = MULTIPLY_ADD(sums[i][1], value, right1);
            }
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
#undef SET_DISTANCE
#undef WAYS
#undef RUN
#undef UNROLL
#undef GLUE
#undef GLUE_
