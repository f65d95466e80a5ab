// System calls that Swift cannot reach: they need _GNU_SOURCE, or differ between systems.
#if defined(__linux__)
#define _GNU_SOURCE
#endif
#include "CStorage.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int64_t resect_copy_file_range(int from, int64_t from_offset, int to, int64_t to_offset, int64_t count) {
#if defined(__linux__)
    off64_t source = from_offset, target = to_offset;
    return copy_file_range(from, &source, to, &target, (size_t)count, 0);
#else
    errno = ENOSYS;
    return -1;
#endif
}

void resect_start_writing(int descriptor, int64_t offset, int64_t count) {
#if defined(__linux__)
    sync_file_range(descriptor, offset, count, SYNC_FILE_RANGE_WRITE);
#endif
}

int resect_reserve(int descriptor, int64_t count) {
#if defined(__linux__)
    return fallocate(descriptor, 0, 0, count) == 0 ? 0 : errno;
#else
    return ENOSYS;
#endif
}
