#ifndef RESECT_CSTORAGE_H
#define RESECT_CSTORAGE_H

#include <stdint.h>
#include <sys/types.h>

// Copies bytes between two files inside the kernel, sharing blocks where the file system can.
// Returns the bytes copied, or -1 with errno; ENOSYS where the system has no such call.
int64_t resect_copy_file_range(int from, int64_t from_offset, int to, int64_t to_offset, int64_t count);

// Has the system begin to put a written range on the disk, so that less is left for the final sync. A hint: no errors.
void resect_start_writing(int descriptor, int64_t offset, int64_t count);

// Reserves the bytes of a file on the disk. Returns 0 or an errno value; ENOSYS where it cannot be done.
int resect_reserve(int descriptor, int64_t count);

#endif
