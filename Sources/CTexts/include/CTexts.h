// Texts that are embedded when the package is built.
#ifndef RESECT_CTEXTS_H
#define RESECT_CTEXTS_H

#include <stddef.h>

// The text of `--corpus builtin`; ORIGINS.md says where it comes from. One zstd frame: a line of JSON that lists the
// documents with their sizes, and their text one after the other.
const void *resect_texts(void);

// The bytes of the frame.
size_t resect_texts_length(void);

#endif
