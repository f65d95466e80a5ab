// C += A B in f64, with the same bits on every instruction set: a sum runs over k in order, and a multiply-add is two
// rounded operations.
#include "variants.h"

// Eight columns of b; smaller machines take them in pieces.
typedef double f64x8 __attribute__((vector_size(64), aligned(8)));

#define UNROLL _Pragma("clang loop unroll(full)")

BODY void multiply_rows(const resect_f64_product *s, const double *a, const double *b, double *c, const int rows) {
    f64x8 sums[16];
    UNROLL for (int i = 0; i < rows; i++) sums[i] = *(const f64x8 *)(c + (size_t)i * s->c_stride);
    for (size_t k = 0; k < s->k; k++) {
        const f64x8 right = *(const f64x8 *)(b + k * s->b_stride);
        UNROLL for (int i = 0; i < rows; i++) sums[i] += a[(size_t)i * s->a_row + k * s->a_k] * right;
    }
    UNROLL for (int i = 0; i < rows; i++) *(f64x8 *)(c + (size_t)i * s->c_stride) = sums[i];
}

// Multiplies `rows` rows of a at once: as many as fill the registers of the instruction set.
BODY void multiply(const resect_f64_product *s, const double *a, const double *b, double *c, const int rows) {
    for (size_t n = 0; n < s->n; n += 8, b += 8, c += 8) {
        const double *left = a;
        double *out = c;
        size_t m = 0;
        for (; m + (size_t)rows <= s->m; m += (size_t)rows, left += (size_t)rows * s->a_row, out += (size_t)rows * s->c_stride)
            multiply_rows(s, left, b, out, rows);
        for (; m < s->m; m++, left += s->a_row, out += s->c_stride) multiply_rows(s, left, b, out, 1);
    }
}

#if defined(__x86_64__)
TARGET_V3 static void multiply_v3(const resect_f64_product *s, const double *a, const double *b, double *c) {
    multiply(s, a, b, c, 5);
}
TARGET_V4 static void multiply_v4(const resect_f64_product *s, const double *a, const double *b, double *c) {
    multiply(s, a, b, c, 16);
}
enum { BASELINE_ROWS = 2 };
#else
enum { BASELINE_ROWS = 4 };
#endif

void resect_multiply_f64(const resect_f64_product *shape, const double *a, const double *b, double *c, int level) {
    switch (level) {
#if defined(__x86_64__)
    case RESECT_X86_64_V4: multiply_v4(shape, a, b, c); break;
    case RESECT_X86_64_V3: multiply_v3(shape, a, b, c); break;
#endif
    default: multiply(shape, a, b, c, BASELINE_ROWS);
    }
}
