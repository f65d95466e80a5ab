// A mapped file that is truncated meanwhile raises SIGBUS at the next touch of what is gone. The guard lets the reader go on
// over zeros and remembers the file, so that the program can end with an error that names it instead of dying.
#if defined(__linux__)
#define _GNU_SOURCE
#endif
#include "CStorage.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

// A slot of the list of maps. Slots are reused and never freed: the handler may walk the list at any moment.
typedef struct resect_map {
    _Atomic uintptr_t start;  // 0 when the slot is free
    _Atomic uintptr_t end;
    atomic_bool is_faulted;
    struct resect_map *next;
} resect_map;

static _Atomic(resect_map *) maps;
static uintptr_t page_size;
static struct sigaction previous;

// Zeros from the page of the fault to the end of the map; false when the address is in no map.
static bool replace_page(uintptr_t address) {
    for (resect_map *map = atomic_load(&maps); map != NULL; map = map->next) {
        uintptr_t start = atomic_load(&map->start), end = atomic_load(&map->end);
        if (start == 0 || address < start || address >= end) continue;
        atomic_store(&map->is_faulted, true);
        uintptr_t page = address & ~(page_size - 1);
        int flags = MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        return mmap((void *)page, end - page, PROT_READ, flags, -1, 0) != MAP_FAILED;
    }
    return false;
}

static void handle(int number, siginfo_t *info, void *context) {
    (void)context;
    if (replace_page((uintptr_t)info->si_addr)) return;
    // Not ours: the access is repeated, and meets what was there before.
    sigaction(number, &previous, NULL);
}

void resect_guard_install(void) {
    page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &previous);
}

resect_map *resect_guard_add(const void *base, int64_t count) {
    resect_map *map = atomic_load(&maps);
    for (; map != NULL; map = map->next) {
        uintptr_t free_slot = 0;
        // The end is set before the start is claimed by a value that holds no address.
        if (atomic_compare_exchange_strong(&map->start, &free_slot, UINTPTR_MAX)) break;
    }
    if (map == NULL) {
        map = calloc(1, sizeof *map);
        if (map == NULL) return NULL;
        atomic_store(&map->start, UINTPTR_MAX);
        map->next = atomic_load(&maps);
        while (!atomic_compare_exchange_weak(&maps, &map->next, map)) {}
    }
    atomic_store(&map->is_faulted, false);
    atomic_store(&map->end, (uintptr_t)base + (uintptr_t)count);
    atomic_store(&map->start, (uintptr_t)base);
    return map;
}

bool resect_guard_is_faulted(const resect_map *map) { return map != NULL && atomic_load(&map->is_faulted); }

void resect_guard_remove(resect_map *map) {
    if (map != NULL) atomic_store(&map->start, 0);
}
