// C = A B with operands in bf16, by the dot product that takes two of them at a time into an f32 sum.
#include "variants.h"
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>

#define NAME matmul_pairs
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16"), min_vector_width(512)))
#define ELEMENT uint32_t
#define WIDTH 16
#define ROWS 14
#define SUM __m512
#define RIGHT __m512i_u
#define MULTIPLY_ADD(sum, left, right)                                                                                 \
    _mm512_dpbf16_ps((sum), (__m512bh)_mm512_set1_epi32((int)(left)), (__m512bh)(__m512i)(right))
#include "matmul-tile.h"

int resect_has_bf16(void) { return resect_best_level() == RESECT_X86_64_V4 && __builtin_cpu_supports("avx512bf16"); }

void resect_matmul_bf16(const resect_matmul_shape *s, const uint32_t *a, const uint32_t *b, float *c) {
    matmul_pairs(s, a, b, c);
}

#else

int resect_has_bf16(void) { return 0; }

void resect_matmul_bf16(const resect_matmul_shape *shape, const uint32_t *a, const uint32_t *b, float *c) {
    (void)shape, (void)a, (void)b, (void)c;
    __builtin_trap();
}

#endif
