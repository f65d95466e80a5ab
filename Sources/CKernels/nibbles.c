// Codes of four bits, one a byte, into words of eight and back: neighbours in a row, or eight rows of a column.
#include "variants.h"
#include <string.h>

BODY void join_along(const uint8_t *restrict codes, uint32_t *restrict words, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint64_t eight;
        memcpy(&eight, codes + 8 * i, 8);
        eight = (eight | eight >> 4) & 0x00ff00ff00ff00ffu;
        eight = (eight | eight >> 8) & 0x0000ffff0000ffffu;
        words[i] = (uint32_t)(eight | eight >> 16);
    }
}

BODY void split_along(const void *restrict words, uint8_t *restrict codes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t word;
        memcpy(&word, (const uint8_t *)words + 4 * i, 4);
        uint64_t eight = word;
        eight = (eight | eight << 16) & 0x0000ffff0000ffffu;
        eight = (eight | eight << 8) & 0x00ff00ff00ff00ffu;
        eight = (eight | eight << 4) & 0x0f0f0f0f0f0f0f0fu;
        memcpy(codes + 8 * i, &eight, 8);
    }
}

BODY void join_across(const uint8_t *restrict codes, const uint8_t *order, uint32_t *restrict words, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t word = 0;
        for (int j = 0; j < 8; j++) word |= (uint32_t)codes[order[j] * count + i] << (4 * j);
        words[i] = word;
    }
}

BODY void split_across(const uint32_t *restrict words, const uint8_t *order, uint8_t *restrict codes, size_t count) {
    for (int j = 0; j < 8; j++) {
        uint8_t *row = codes + order[j] * count;
        for (size_t i = 0; i < count; i++) row[i] = (uint8_t)(words[i] >> (4 * j) & 15);
    }
}

typedef void (*join_along_fn)(const uint8_t *restrict codes, uint32_t *restrict words, size_t count);
typedef void (*split_along_fn)(const void *restrict words, uint8_t *restrict codes, size_t count);
typedef void (*join_across_fn)(
    const uint8_t *restrict codes, const uint8_t *order, uint32_t *restrict words, size_t count);
typedef void (*split_across_fn)(
    const uint32_t *restrict words, const uint8_t *order, uint8_t *restrict codes, size_t count);
VARIANTS(static join_along_fn, join_along, (const uint8_t *restrict codes, uint32_t *restrict words, size_t count),
         (codes, words, count))
VARIANTS(static split_along_fn, split_along, (const void *restrict words, uint8_t *restrict codes, size_t count),
         (words, codes, count))
VARIANTS(static join_across_fn, join_across,
         (const uint8_t *restrict codes, const uint8_t *order, uint32_t *restrict words, size_t count),
         (codes, order, words, count))
VARIANTS(static split_across_fn, split_across,
         (const uint32_t *restrict words, const uint8_t *order, uint8_t *restrict codes, size_t count),
         (words, order, codes, count))

void resect_join_nibbles(const uint8_t *codes, uint32_t *words, size_t count, int level) {
    resect_join_along[level](codes, words, count);
}

void resect_split_nibbles(const void *words, uint8_t *codes, size_t count, int level) {
    resect_split_along[level](words, codes, count);
}

void resect_join_nibble_rows(const uint8_t *codes, const uint8_t *order, uint32_t *words, size_t count, int level) {
    resect_join_across[level](codes, order, words, count);
}

void resect_split_nibble_rows(const uint32_t *words, const uint8_t *order, uint8_t *codes, size_t count, int level) {
    resect_split_across[level](words, order, codes, count);
}
