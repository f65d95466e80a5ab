#include "CStorage.h"

// Package.swift defines it where the environment has RESECT_COMMIT.
#ifndef RESECT_COMMIT
#define RESECT_COMMIT ""
#endif

const char *resect_commit(void) { return RESECT_COMMIT; }
