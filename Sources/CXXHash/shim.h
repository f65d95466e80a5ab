#include <stddef.h>
#include <xxhash.h>

// On x86-64 the library has code for every instruction set and picks one when the program runs; this header, which is there only
// when the library was built so, gives the functions below that choice.
#if defined(__x86_64__) && __has_include(<xxh_x86dispatch.h>)
#include <xxh_x86dispatch.h>
#endif

/// Adds bytes to a hash of 128 bits, by the best instruction set.
static inline void resect_xxh3_update(XXH3_state_t *state, const void *bytes, size_t count) {
    XXH3_128bits_update(state, bytes, count);
}
