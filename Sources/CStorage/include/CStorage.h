#ifndef RESECT_CSTORAGE_H
#define RESECT_CSTORAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// The commit that the program was built from; empty when the build was not told.
const char *resect_commit(void);

// Copies bytes between two files inside the kernel, sharing blocks where the file system can.
// Returns the bytes copied, or -1 with errno; ENOSYS where the system has no such call.
int64_t resect_copy_file_range(int from, int64_t from_offset, int to, int64_t to_offset, int64_t count);

// Has the system begin to put a written range on the disk, so that less is left for the final sync. A hint: no errors.
void resect_start_writing(int descriptor, int64_t offset, int64_t count);

// Reserves a range of a file on the disk. Returns 0 or an errno value; ENOSYS where it cannot be done.
int resect_reserve(int descriptor, int64_t offset, int64_t count);

// Has a range of one file share the blocks of another; all three numbers are multiples of the block size.
// Returns 0 or an errno value, most often EOPNOTSUPP, EXDEV or EINVAL: copy instead.
int resect_share(int from, int64_t from_offset, int to, int64_t to_offset, int64_t count);

// Whether the file system of a path is one where files share blocks.
bool resect_shares_blocks(const char *path);

// The next stretch of a file, from an offset on, that is no hole. Returns 0 or an errno value; ENXIO when only a hole is left.
int resect_data_extent(int descriptor, int64_t offset, int64_t *start, int64_t *end);

// Opens a file for reading and writing that has no name and is gone when it is closed; -1 with errno.
int resect_open_unnamed(const char *folder);

// How many files the process may have open at once; -1 when the system does not say.
int64_t resect_open_file_limit(void);

// Exchanges two paths at once. Returns 0 or an errno value; ENOSYS or EINVAL where it cannot be done.
int resect_exchange(const char *a, const char *b);

// A field of the blocks of a tensor: in every block of `stride` bytes, at `offset`, `count` elements of `unit` bytes (1, 2, 4, 8),
// whose bits are turned left by `turn` (0 or 1) before they are taken apart.
typedef struct {
    int64_t stride, offset, count;
    int unit, turn;
} resect_field;

// Byte k of every element into plane k, over whole blocks; and back.
void resect_split_field(const uint8_t *source, int64_t blocks, resect_field field, uint8_t *const *planes);
void resect_merge_field(uint8_t *target, int64_t blocks, resect_field field, const uint8_t *const *planes);

// Exclusive or of bytes, in place.
void resect_xor(uint8_t *target, const uint8_t *other, int64_t count);

// Bits that a byte is worth, from 64 bytes in every `step`; 0 for fewer than 64 bytes.
double resect_byte_entropy(const uint8_t *bytes, int64_t count, int64_t step);

// Has the program survive a mapped file that is truncated: reads then give zeros, and the map is marked as faulted.
// Replaces the handler of SIGBUS; other faults still meet the one that was there.
void resect_guard_install(void);

// A map that the guard watches over; NULL without memory, which the other calls accept.
typedef struct resect_map resect_map;
resect_map *resect_guard_add(const void *base, int64_t count);
bool resect_guard_is_faulted(const resect_map *map);
// Must come before the memory is unmapped.
void resect_guard_remove(resect_map *map);

#endif
