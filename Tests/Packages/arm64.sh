#!/usr/bin/env bash
# Runs the program for arm64 under QEMU beside that of this machine: arm64.sh NATIVE ARM64. Both have to write the same bytes.
set -euo pipefail
native=$(realpath "$1") other=$(realpath "$2")
model=$(realpath "$(dirname "$0")/../../fixtures/kjv-7m")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

each() {
    "$native" "$@" > native.out
    mkdir -p arm64
    (cd arm64 && qemu-aarch64-static "$other" "$@" > ../arm64.out)
    cmp native.out arm64.out
    echo "same: resect $*"
}

qemu-aarch64-static "$other" --version
each inspect "$model"
each cut "$model" -o cut.gguf --layers 4:6 --quiet
each quantize "$model" -o small.gguf --type Q4_K_M --quiet
each quantize "$model" -o four --type W4A16 --quiet
each pack "$model" -o model.resect --quiet
each tokenize "$model" --text "$model/../calibration.txt"
for output in cut.gguf small.gguf four; do diff -r "$output" "arm64/$output"; done
# Their zstd may have another version, and pack to other bytes.
"$native" unpack arm64/model.resect -o restored --quiet
diff -r restored "$model"
each evaluate "$model" --corpus "$model/../evaluation.txt" --samples 1 --context 64 --quiet
echo "arm64: done"
