// Bytes of the elements of a field, apart and together again: byte k of every element lies in plane k.
#include "CStorage.h"

#include <string.h>

// The loops over elements that lie together are those of plain weights; they are written so that compilers vectorize them.
static void split2(
    const uint8_t *restrict source, int64_t count, int turn, uint8_t *restrict low, uint8_t *restrict high) {
    for (int64_t i = 0; i < count; i++) {
        uint16_t value;
        memcpy(&value, source + 2 * i, 2);
        value = (uint16_t)(value << turn | (uint32_t)value >> (16 - turn));
        low[i] = (uint8_t)value;
        high[i] = (uint8_t)(value >> 8);
    }
}

static void merge2(
    const uint8_t *restrict low, const uint8_t *restrict high, int64_t count, int turn, uint8_t *restrict target) {
    for (int64_t i = 0; i < count; i++) {
        uint32_t value = (uint32_t)high[i] << 8 | low[i];
        uint16_t turned = (uint16_t)(value >> turn | value << (16 - turn));
        memcpy(target + 2 * i, &turned, 2);
    }
}

static void split4(
    const uint8_t *restrict source, int64_t count, int turn, uint8_t *restrict a, uint8_t *restrict b,
    uint8_t *restrict c, uint8_t *restrict d) {
    for (int64_t i = 0; i < count; i++) {
        uint32_t value;
        memcpy(&value, source + 4 * i, 4);
        value = (uint32_t)(value << turn | (uint64_t)value >> (32 - turn));
        a[i] = (uint8_t)value;
        b[i] = (uint8_t)(value >> 8);
        c[i] = (uint8_t)(value >> 16);
        d[i] = (uint8_t)(value >> 24);
    }
}

static void merge4(
    const uint8_t *restrict a, const uint8_t *restrict b, const uint8_t *restrict c, const uint8_t *restrict d,
    int64_t count, int turn, uint8_t *restrict target) {
    for (int64_t i = 0; i < count; i++) {
        uint32_t value = (uint32_t)d[i] << 24 | (uint32_t)c[i] << 16 | (uint32_t)b[i] << 8 | a[i];
        value = (uint32_t)(value >> turn | (uint64_t)value << (32 - turn));
        memcpy(target + 4 * i, &value, 4);
    }
}

static uint64_t mask(int unit) { return unit == 8 ? ~0ull : (1ull << 8 * unit) - 1; }

static uint64_t turned(uint64_t value, int unit, int turn) {
    if (turn == 0) return value;
    return (value << turn | value >> (8 * unit - turn)) & mask(unit);
}

// Fields of single bytes are short and many: the sizes that formats have are copied without a call.
static void copy(uint8_t *restrict target, int64_t target_step, const uint8_t *restrict source, int64_t source_step,
                 int64_t blocks, int64_t count) {
#define EACH(size) \
    case size: \
        for (int64_t i = 0; i < blocks; i++) memcpy(target + i * target_step, source + i * source_step, size); \
        break
    switch (count) {
        EACH(4);
        EACH(8);
        EACH(12);
        EACH(16);
        EACH(32);
        EACH(64);
        EACH(128);
        default:
            for (int64_t i = 0; i < blocks; i++)
                memcpy(target + i * target_step, source + i * source_step, (size_t)count);
    }
#undef EACH
}

void resect_split_field(const uint8_t *source, int64_t blocks, resect_field field, uint8_t *const *planes) {
    int unit = field.unit, turn = field.turn;
    int64_t per_block = field.count;
    bool is_dense = field.stride == per_block * unit;
    if (unit == 1) {
        if (is_dense) {
            memcpy(planes[0], source, (size_t)(blocks * per_block));
        } else {
            copy(planes[0], per_block, source + field.offset, field.stride, blocks, per_block);
        }
    } else if (is_dense && unit == 2) {
        split2(source, blocks * per_block, turn, planes[0], planes[1]);
    } else if (is_dense && unit == 4) {
        split4(source, blocks * per_block, turn, planes[0], planes[1], planes[2], planes[3]);
    } else if (unit == 2 && per_block == 1) {
        for (int64_t block = 0; block < blocks; block++)
            split2(source + block * field.stride + field.offset, 1, turn, planes[0] + block, planes[1] + block);
    } else {
        for (int64_t block = 0; block < blocks; block++) {
            const uint8_t *start = source + block * field.stride + field.offset;
            for (int64_t i = 0; i < per_block; i++) {
                uint64_t value = 0;
                for (int byte = 0; byte < unit; byte++) value |= (uint64_t)start[i * unit + byte] << 8 * byte;
                value = turned(value, unit, turn);
                for (int byte = 0; byte < unit; byte++)
                    planes[byte][block * per_block + i] = (uint8_t)(value >> 8 * byte);
            }
        }
    }
}

void resect_merge_field(uint8_t *target, int64_t blocks, resect_field field, const uint8_t *const *planes) {
    int unit = field.unit, turn = field.turn;
    int64_t per_block = field.count;
    bool is_dense = field.stride == per_block * unit;
    if (unit == 1) {
        if (is_dense) {
            memcpy(target, planes[0], (size_t)(blocks * per_block));
        } else {
            copy(target + field.offset, field.stride, planes[0], per_block, blocks, per_block);
        }
    } else if (is_dense && unit == 2) {
        merge2(planes[0], planes[1], blocks * per_block, turn, target);
    } else if (is_dense && unit == 4) {
        merge4(planes[0], planes[1], planes[2], planes[3], blocks * per_block, turn, target);
    } else if (unit == 2 && per_block == 1) {
        for (int64_t block = 0; block < blocks; block++)
            merge2(planes[0] + block, planes[1] + block, 1, turn, target + block * field.stride + field.offset);
    } else {
        for (int64_t block = 0; block < blocks; block++) {
            uint8_t *start = target + block * field.stride + field.offset;
            for (int64_t i = 0; i < per_block; i++) {
                uint64_t value = 0;
                for (int byte = 0; byte < unit; byte++)
                    value |= (uint64_t)planes[byte][block * per_block + i] << 8 * byte;
                value = turned(value, unit, turn == 0 ? 0 : 8 * unit - turn);
                for (int byte = 0; byte < unit; byte++) start[i * unit + byte] = (uint8_t)(value >> 8 * byte);
            }
        }
    }
}

void resect_xor(uint8_t *restrict target, const uint8_t *restrict other, int64_t count) {
    for (int64_t i = 0; i < count; i++) target[i] ^= other[i];
}

double resect_byte_entropy(const uint8_t *bytes, int64_t count, int64_t step) {
    uint32_t counts[4][256] = {0};
    int64_t taken = 0;
    // Four tables, so that equal neighbours do not wait for each other.
    for (int64_t start = 0; start + 64 <= count; start += step)
        for (int i = 0; i < 64; i++, taken++) counts[i & 3][bytes[start + i]]++;
    if (taken == 0) return 0;
    double bits = 0;
    for (int value = 0; value < 256; value++) {
        uint32_t count = counts[0][value] + counts[1][value] + counts[2][value] + counts[3][value];
        double share = (double)count / (double)taken;
        if (share > 0) bits -= share * __builtin_log2(share);
    }
    return bits;
}
