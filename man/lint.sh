#!/usr/bin/env bash
# Holds the pages to mandoc's style; where references are looked up, only these pages are. Elsewhere than on Debian mandoc is
# the user's to install, and without it nothing is checked.
set -euo pipefail
cd "$(dirname "$0")"
command -v mandoc > /dev/null || { echo "man: mandoc is not installed, so the pages are not checked" >&2; exit 0; }
pages=$(mktemp -d)
trap 'rm -rf "$pages"' EXIT
mkdir "$pages/man1" "$pages/man7"
cp ./*.1 "$pages/man1"
cp ./*.7 "$pages/man7"
cd "$pages"
makewhatis "$pages"
MANPATH=$pages mandoc -Tlint -Wstyle man1/*.1 man7/*.7
