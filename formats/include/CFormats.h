#ifndef RESECT_CFORMATS_H
#define RESECT_CFORMATS_H

#include <stddef.h>

// One embedded data file: its path below formats/ and its bytes.
typedef struct {
    const char *name;
    const unsigned char *bytes;
    size_t length;
} resect_format_file;

// The embedded files, in the order of the registry in formats.c: how many there are, and each by its index.
size_t resect_format_file_count(void);
const resect_format_file *resect_format_file_at(size_t place);

#endif
