#!/usr/bin/env bash
# docs.sh BUILD OUT: makes the documentation of the libraries out of the modules in BUILD; a warning is an error.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$1 out=$2
graphs=$out/graphs
rm -rf "$out"
mkdir -p "$graphs"
target=$(swiftc -print-target-info | sed -n 's/.*"unversionedTriple": "\(.*\)",*/\1/p' | head -n 1)
# The C modules, whose headers an import of ours may need.
includes=(-I "$build/Modules" -I Sources/CZstd -I Sources/CXXHash)
for map in "$build"/C*.build/module.modulemap; do includes+=(-Xcc "-fmodule-map-file=$map"); done
archives=()
for module in Checkpoints Surgery Analysis Healing; do
    mkdir "$graphs/$module"
    swift-symbolgraph-extract -module-name "$module" -target "$target" "${includes[@]}" -minimum-access-level public \
        -experimental-allowed-reexported-modules=Formats \
        -skip-synthesized-members -output-dir "$graphs/$module"
    docc convert "Sources/$module/$module.docc" --additional-symbol-graph-dir "$graphs/$module" --warnings-as-errors \
        --fallback-bundle-identifier "resect.$module" --output-dir "$out/$module.doccarchive"
    archives+=("$out/$module.doccarchive")
done
docc merge "${archives[@]}" --synthesized-landing-page-name resect --synthesized-landing-page-kind Package \
    --output-path "$out/resect.doccarchive"
rm -rf "$graphs" "${archives[@]}"
echo "documentation: $out/resect.doccarchive"
