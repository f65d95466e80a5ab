// Looks for values that blocks cannot hold.
#include "CKernels.h"

#include <math.h>

// Values that are looked at together, so that the loop over them has no exit and becomes one over vectors.
enum { RUN = 1024 };

size_t resect_first_beyond(const float *source, size_t count, float limit) {
    for (size_t start = 0; start < count; start += RUN) {
        size_t end = count - start < RUN ? count : start + RUN;
        int found = 0;
        for (size_t place = start; place < end; place++) found |= !(fabsf(source[place]) <= limit);
        if (!found) continue;
        while (fabsf(source[start]) <= limit) start++;
        return start;
    }
    return count;
}
