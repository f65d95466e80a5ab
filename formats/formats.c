// The registry: one line for each data file. A file that is not listed here does not exist for resect.
#include "CFormats.h"

static const unsigned char llama[] = {
#embed "architectures/llama.json"
};
static const unsigned char mistral[] = {
#embed "architectures/mistral.json"
};
static const unsigned char layer_settings[] = {
#embed "layer-settings.json"
};
static const unsigned char modules[] = {
#embed "modules.json"
};
static const unsigned char types[] = {
#embed "quants/types.json"
};
static const unsigned char mixtures[] = {
#embed "quants/mixtures.json"
};
static const unsigned char exceptions[] = {
#embed "quants/exceptions.json"
};
static const unsigned char planes[] = {
#embed "quants/planes.json"
};
static const unsigned char gpt2[] = {
#embed "tokenizers/gpt-2.json"
};
static const unsigned char smollm[] = {
#embed "tokenizers/smollm.json"
};
static const unsigned char llama_bpe[] = {
#embed "tokenizers/llama-bpe.json"
};
static const unsigned char qwen2[] = {
#embed "tokenizers/qwen2.json"
};

#define ENTRY(name, symbol) {name, symbol, sizeof symbol}

static const resect_format_file files[] = {
    ENTRY("architectures/llama.json", llama),
    ENTRY("architectures/mistral.json", mistral),
    ENTRY("layer-settings.json", layer_settings),
    ENTRY("modules.json", modules),
    ENTRY("quants/types.json", types),
    ENTRY("quants/mixtures.json", mixtures),
    ENTRY("quants/exceptions.json", exceptions),
    ENTRY("quants/planes.json", planes),
    ENTRY("tokenizers/gpt-2.json", gpt2),
    ENTRY("tokenizers/smollm.json", smollm),
    ENTRY("tokenizers/llama-bpe.json", llama_bpe),
    ENTRY("tokenizers/qwen2.json", qwen2),
};
size_t resect_format_file_count(void) { return sizeof files / sizeof files[0]; }

const resect_format_file *resect_format_file_at(size_t place) { return &files[place]; }
