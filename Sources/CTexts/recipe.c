// The files of a training recipe, `heal --recipe`.
#include "CTexts.h"

static const unsigned char train[] = {
#embed "recipe/train.py"
};
static const unsigned char readme[] = {
#embed "recipe/README.md"
};
static const unsigned char requirements[] = {
#embed "recipe/requirements.txt"
};

static const unsigned char origins[] = {
#embed "ORIGINS.md"
};

static const struct {
    const char *name;
    const unsigned char *bytes;
    size_t length;
} recipe[] = {
    {"train.py", train, sizeof train},
    {"README.md", readme, sizeof readme},
    {"requirements.txt", requirements, sizeof requirements},
    {"texts/ORIGINS.md", origins, sizeof origins},
};
static const size_t recipe_count = sizeof recipe / sizeof recipe[0];

const char *resect_recipe_name(size_t index) { return index < recipe_count ? recipe[index].name : NULL; }

const void *resect_recipe_file(size_t index, size_t *length) {
    *length = recipe[index].length;
    return recipe[index].bytes;
}
