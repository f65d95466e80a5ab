#!/usr/bin/env bash
# Gives each target, or those named, the same time: fuzz.sh SECONDS [TARGET ...]
#
# Inputs start from corpora/; those that reach new code are kept in .build-fuzz/corpora for the next run. An input that traps,
# takes a second, or asks for more memory than any file of its size may, is left in .build-fuzz/findings, and the status is 1.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-600}
shift || true
here=Tests/Fuzzing
scratch=.build-fuzz
# The last two sanitizers count: --sanitize takes only one, and leaves the program's main to libFuzzer.
RESECT_FUZZ=1 swift build -c release --scratch-path $scratch --product fuzz --sanitize fuzzer -Xswiftc -sanitize=fuzzer,address

# A trap should end the program, not print the backtrace of every thread.
# Leaks are not looked for: Swift keeps the case of an enum in spare bits of a pointer, which the sanitizer then does not follow, so
# that it takes parts of the known architectures, which live as long as the process, for lost.
export SWIFT_BACKTRACE=enable=no ASAN_OPTIONS=quarantine_size_mb=8:detect_leaks=0
base=/dev/shm
[ -d $base ] || base=${TMPDIR:-/tmp}
TMPDIR=$(mktemp -d $base/resect-fuzz-XXXXXX)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
mkdir -p $scratch/findings
failed=0
[ $# -gt 0 ] || set -- $(ls $here/corpora)
for name in "$@"; do
    mkdir -p $scratch/corpora/$name
    echo "fuzz: $name for $seconds s"
    RESECT_FUZZ=$name $scratch/release/fuzz $scratch/corpora/$name $here/corpora/$name -max_total_time="$seconds" \
        -max_len=65536 -timeout=1 -malloc_limit_mb=64 -rss_limit_mb=512 -dict=$here/words.txt -print_final_stats=1 \
        -artifact_prefix=$scratch/findings/$name- 2> $scratch/$name.log || failed=1
    grep -E '^stat::|^SUMMARY|Fatal error|DONE' $scratch/$name.log || true
done
exit $failed
