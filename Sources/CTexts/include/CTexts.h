// Texts that are embedded when the package is built: those of `--corpus builtin`, and the files of a training recipe.
#ifndef RESECT_CTEXTS_H
#define RESECT_CTEXTS_H

#include <stddef.h>

// The text of `--corpus builtin`; ORIGINS.md says where it comes from. One zstd frame: a line of JSON that lists the
// documents with their sizes, and their text one after the other.
const void *resect_texts(void);

// The length of the frame in bytes.
size_t resect_texts_length(void);

// A file of a training recipe; NULL after the last one.
const char *resect_recipe_name(size_t index);

// The contents of that file, and their length in bytes. The index must be that of a file.
const void *resect_recipe_file(size_t index, size_t *length);

#endif
