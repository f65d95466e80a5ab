// Finds values that are too large, infinite or NaN.
#include "CKernels.h"

#include <math.h>

// Values that are checked together: the loop over them has no early exit, so that it can be vectorized.
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
