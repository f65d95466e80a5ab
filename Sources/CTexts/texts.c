#include "CTexts.h"

static const unsigned char texts[] = {
#embed "texts.zst"
};

const void *resect_texts(void) { return texts; }

size_t resect_texts_length(void) { return sizeof texts; }
