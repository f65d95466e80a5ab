// The registry: one line for each data file. A file that is not listed here does not exist for resect.
#include "CFormats.h"

static const unsigned char llama[] = {
#embed "architectures/llama.json"
};
static const unsigned char mistral[] = {
#embed "architectures/mistral.json"
};
static const unsigned char qwen2_model[] = {
#embed "architectures/qwen2.json"
};
static const unsigned char qwen3_model[] = {
#embed "architectures/qwen3.json"
};
static const unsigned char qwen2_moe_model[] = {
#embed "architectures/qwen2_moe.json"
};
static const unsigned char qwen3_moe_model[] = {
#embed "architectures/qwen3_moe.json"
};
static const unsigned char ministral3_model[] = {
#embed "architectures/ministral3.json"
};
static const unsigned char mistral3_model[] = {
#embed "architectures/mistral3.json"
};
static const unsigned char mixtral_model[] = {
#embed "architectures/mixtral.json"
};
static const unsigned char smollm3_model[] = {
#embed "architectures/smollm3.json"
};
static const unsigned char granite_model[] = {
#embed "architectures/granite.json"
};
static const unsigned char arcee_model[] = {
#embed "architectures/arcee.json"
};
static const unsigned char olmoe_model[] = {
#embed "architectures/olmoe.json"
};
static const unsigned char qwen_model[] = {
#embed "architectures/qwen.json"
};
static const unsigned char gemma_model[] = {
#embed "architectures/gemma.json"
};
static const unsigned char gemma2_model[] = {
#embed "architectures/gemma2.json"
};
static const unsigned char gemma3_model[] = {
#embed "architectures/gemma3.json"
};
static const unsigned char gpt2_model[] = {
#embed "architectures/gpt2.json"
};
static const unsigned char gpt_neox_model[] = {
#embed "architectures/gpt_neox.json"
};
static const unsigned char phi_model[] = {
#embed "architectures/phi.json"
};
static const unsigned char phi3_model[] = {
#embed "architectures/phi3.json"
};
static const unsigned char stablelm_model[] = {
#embed "architectures/stablelm.json"
};
static const unsigned char starcoder2_model[] = {
#embed "architectures/starcoder2.json"
};
static const unsigned char olmo_model[] = {
#embed "architectures/olmo.json"
};
static const unsigned char olmo2_model[] = {
#embed "architectures/olmo2.json"
};
static const unsigned char olmo3_model[] = {
#embed "architectures/olmo3.json"
};
static const unsigned char cohere_model[] = {
#embed "architectures/cohere.json"
};
static const unsigned char cohere2_model[] = {
#embed "architectures/cohere2.json"
};
static const unsigned char nemotron_model[] = {
#embed "architectures/nemotron.json"
};
static const unsigned char exaone4_model[] = {
#embed "architectures/exaone4.json"
};
static const unsigned char glm_model[] = {
#embed "architectures/glm.json"
};
static const unsigned char glm4_model[] = {
#embed "architectures/glm4.json"
};
static const unsigned char seed_oss_model[] = {
#embed "architectures/seed_oss.json"
};
static const unsigned char ernie4_5_model[] = {
#embed "architectures/ernie4_5.json"
};
static const unsigned char jais2_model[] = {
#embed "architectures/jais2.json"
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
static const unsigned char command_r[] = {
#embed "tokenizers/command-r.json"
};
static const unsigned char gpt4o[] = {
#embed "tokenizers/gpt-4o.json"
};
static const unsigned char olmo[] = {
#embed "tokenizers/olmo.json"
};
static const unsigned char qwen35[] = {
#embed "tokenizers/qwen35.json"
};
static const unsigned char tekken[] = {
#embed "tokenizers/tekken.json"
};
static const unsigned char compatibility[] = {
#embed "compatibility.json"
};

#define ENTRY(name, symbol) {name, symbol, sizeof symbol}

static const resect_format_file files[] = {
    ENTRY("architectures/llama.json", llama),
    ENTRY("architectures/mistral.json", mistral),
    ENTRY("architectures/qwen2.json", qwen2_model),
    ENTRY("architectures/qwen3.json", qwen3_model),
    ENTRY("architectures/qwen2_moe.json", qwen2_moe_model),
    ENTRY("architectures/qwen3_moe.json", qwen3_moe_model),
    ENTRY("architectures/ministral3.json", ministral3_model),
    ENTRY("architectures/mistral3.json", mistral3_model),
    ENTRY("architectures/mixtral.json", mixtral_model),
    ENTRY("architectures/smollm3.json", smollm3_model),
    ENTRY("architectures/granite.json", granite_model),
    ENTRY("architectures/arcee.json", arcee_model),
    ENTRY("architectures/olmoe.json", olmoe_model),
    ENTRY("architectures/qwen.json", qwen_model),
    ENTRY("architectures/gemma.json", gemma_model),
    ENTRY("architectures/gemma2.json", gemma2_model),
    ENTRY("architectures/gemma3.json", gemma3_model),
    ENTRY("architectures/gpt2.json", gpt2_model),
    ENTRY("architectures/gpt_neox.json", gpt_neox_model),
    ENTRY("architectures/phi.json", phi_model),
    ENTRY("architectures/phi3.json", phi3_model),
    ENTRY("architectures/stablelm.json", stablelm_model),
    ENTRY("architectures/starcoder2.json", starcoder2_model),
    ENTRY("architectures/olmo.json", olmo_model),
    ENTRY("architectures/olmo2.json", olmo2_model),
    ENTRY("architectures/olmo3.json", olmo3_model),
    ENTRY("architectures/cohere.json", cohere_model),
    ENTRY("architectures/cohere2.json", cohere2_model),
    ENTRY("architectures/nemotron.json", nemotron_model),
    ENTRY("architectures/exaone4.json", exaone4_model),
    ENTRY("architectures/glm.json", glm_model),
    ENTRY("architectures/glm4.json", glm4_model),
    ENTRY("architectures/seed_oss.json", seed_oss_model),
    ENTRY("architectures/ernie4_5.json", ernie4_5_model),
    ENTRY("architectures/jais2.json", jais2_model),
    ENTRY("layer-settings.json", layer_settings),
    ENTRY("modules.json", modules),
    ENTRY("compatibility.json", compatibility),
    ENTRY("quants/types.json", types),
    ENTRY("quants/mixtures.json", mixtures),
    ENTRY("quants/exceptions.json", exceptions),
    ENTRY("quants/planes.json", planes),
    ENTRY("tokenizers/gpt-2.json", gpt2),
    ENTRY("tokenizers/smollm.json", smollm),
    ENTRY("tokenizers/llama-bpe.json", llama_bpe),
    ENTRY("tokenizers/qwen2.json", qwen2),
    ENTRY("tokenizers/command-r.json", command_r),
    ENTRY("tokenizers/gpt-4o.json", gpt4o),
    ENTRY("tokenizers/olmo.json", olmo),
    ENTRY("tokenizers/qwen35.json", qwen35),
    ENTRY("tokenizers/tekken.json", tekken),
};
size_t resect_format_file_count(void) { return sizeof files / sizeof files[0]; }

const resect_format_file *resect_format_file_at(size_t place) { return &files[place]; }
