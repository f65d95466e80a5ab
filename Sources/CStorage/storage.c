// System calls that Swift cannot reach: they need _GNU_SOURCE, or differ between systems.
#if defined(__linux__)
#define _GNU_SOURCE
#endif
#include "CStorage.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#if defined(__linux__)
#include <linux/fs.h>
#include <sys/vfs.h>
#endif

int64_t resect_open_file_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return -1;
    return limit.rlim_cur > INT64_MAX ? INT64_MAX : (int64_t)limit.rlim_cur;
}

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

int resect_reserve(int descriptor, int64_t offset, int64_t count) {
#if defined(__linux__)
    return fallocate(descriptor, 0, offset, count) == 0 ? 0 : errno;
#else
    return ENOSYS;
#endif
}

int resect_open_unnamed(const char *folder) {
#if defined(O_TMPFILE)
    int descriptor = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (descriptor >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)) return descriptor;
#endif
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/resect-XXXXXX", folder) >= (int)sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int named = mkstemp(path);
    if (named >= 0) {
        fcntl(named, F_SETFD, FD_CLOEXEC);
        unlink(path);
    }
    return named;
}

int resect_share(int from, int64_t from_offset, int to, int64_t to_offset, int64_t count) {
#if defined(FICLONERANGE)
    struct file_clone_range range = {
        .src_fd = from, .src_offset = (uint64_t)from_offset, .src_length = (uint64_t)count,
        .dest_offset = (uint64_t)to_offset};
    return ioctl(to, FICLONERANGE, &range) == 0 ? 0 : errno;
#else
    return ENOSYS;
#endif
}

int resect_data_extent(int descriptor, int64_t offset, int64_t *start, int64_t *end) {
#if defined(SEEK_DATA)
    off_t data = lseek(descriptor, offset, SEEK_DATA);
    if (data < 0) return errno;
    off_t hole = lseek(descriptor, data, SEEK_HOLE);
    if (hole < 0) return errno;
    *start = data;
    *end = hole;
    return 0;
#else
    return ENOSYS;
#endif
}

int resect_exchange(const char *a, const char *b) {
#if defined(RENAME_EXCHANGE)
    return renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) == 0 ? 0 : errno;
#else
    return ENOSYS;
#endif
}

bool resect_shares_blocks(const char *path) {
#if defined(__linux__)
    struct statfs status;
    if (statfs(path, &status) != 0) return false;
    switch ((uint32_t)status.f_type) {
    case 0x58465342:  // XFS
    case 0x9123683e:  // btrfs
    case 0xca451a4e:  // bcachefs
        return true;
    default: return false;
    }
#else
    return false;
#endif
}
