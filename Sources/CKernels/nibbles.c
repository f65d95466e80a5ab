// Codes of four bits, one a byte, into words of eight and back: neighbours in a row, or eight rows of a column.
#include "variants.h"
#include <string.h>

BODY void pack_along(const uint8_t *restrict codes, uint32_t *restrict words, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint64_t eight;
        memcpy(&eight, codes + 8 * i, 8);
        eight = (eight | eight >> 4) & 0x00ff00ff00ff00ffu;
        eight = (eight | eight >> 8) & 0x0000ffff0000ffffu;
        words[i] = (uint32_t)(eight | eight >> 16);
    }
}

BODY void unpack_along(const void *restrict words, uint8_t *restrict codes, size_t count) {
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

BODY void pack_across(const uint8_t *restrict codes, const uint8_t *order, uint32_t *restrict words, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t word = 0;
        for (int j = 0; j < 8; j++) word |= (uint32_t)codes[order[j] * count + i] << (4 * j);
        words[i] = word;
    }
}

BODY void unpack_across(const uint32_t *restrict words, const uint8_t *order, uint8_t *restrict codes, size_t count) {
    for (int j = 0; j < 8; j++) {
        uint8_t *row = codes + order[j] * count;
        for (size_t i = 0; i < count; i++) row[i] = (uint8_t)(words[i] >> (4 * j) & 15);
    }
}

typedef void (*pack_along_fn)(const uint8_t *restrict codes, uint32_t *restrict words, size_t count);
typedef void (*unpack_along_fn)(const void *restrict words, uint8_t *restrict codes, size_t count);
typedef void (*pack_across_fn)(
    const uint8_t *restrict codes, const uint8_t *order, uint32_t *restrict words, size_t count);
typedef void (*unpack_across_fn)(
    const uint32_t *restrict words, const uint8_t *order, uint8_t *restrict codes, size_t count);
VARIANTS(static pack_along_fn, pack_along, (const uint8_t *restrict codes, uint32_t *restrict words, size_t count),
         (codes, words, count))
VARIANTS(static unpack_along_fn, unpack_along, (const void *restrict words, uint8_t *restrict codes, size_t count),
         (words, codes, count))
VARIANTS(static pack_across_fn, pack_across,
         (const uint8_t *restrict codes, const uint8_t *order, uint32_t *restrict words, size_t count),
         (codes, order, words, count))
VARIANTS(static unpack_across_fn, unpack_across,
         (const uint32_t *restrict words, const uint8_t *order, uint8_t *restrict codes, size_t count),
         (words, order, codes, count))

void resect_pack_nibbles(const uint8_t *codes, uint32_t *words, size_t count, int level) {
    resect_pack_along[level](codes, words, count);
}

void resect_unpack_nibbles(const void *words, uint8_t *codes, size_t count, int level) {
    resect_unpack_along[level](words, codes, count);
}

void resect_pack_nibble_rows(const uint8_t *codes, const uint8_t *order, uint32_t *words, size_t count, int level) {
    resect_pack_across[level](codes, order, words, count);
}

void resect_unpack_nibble_rows(const uint32_t *words, const uint8_t *order, uint8_t *codes, size_t count, int level) {
    resect_unpack_across[level](words, order, codes, count);
}
