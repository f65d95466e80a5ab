// Which instruction set runs: the best of the machine, or the one that RESECT_CPU names.
#include "CKernels.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const char *const level_names[RESECT_LEVELS] = {"baseline", "v3", "v4"};

int resect_machine_level(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("x86-64-v4")) return RESECT_X86_64_V4;
    if (__builtin_cpu_supports("x86-64-v3")) return RESECT_X86_64_V3;
#endif
    return RESECT_BASELINE;
}

// What the environment asks for; NULL when it asks for nothing.
static const char *request(void) {
    const char *name = getenv("RESECT_CPU");
    return name && *name ? name : NULL;
}

// The level that the environment asks for; -1 when it asks for none that runs here.
static int requested_level(void) {
    const char *name = request();
    for (int level = resect_machine_level(); name && level >= 0; level--)
        if (strcmp(name, level_names[level]) == 0) return level;
    return -1;
}

int resect_best_level(void) {
    // Every call of a kernel asks for the level, so it is cached. Threads that find it at the same time find the same one.
    static _Atomic int found = -1;
    int level = atomic_load_explicit(&found, memory_order_relaxed);
    if (level >= 0) return level;
    level = requested_level();
    if (level < 0) level = resect_machine_level();
    atomic_store_explicit(&found, level, memory_order_relaxed);
    return level;
}

const char *resect_refused_level(void) {
    const char *name = request();
    return name && requested_level() < 0 ? name : NULL;
}
