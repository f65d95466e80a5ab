#!/usr/bin/env bash
# Holds the packages of a folder to what they promise, as root: packages.sh OUT TREE ARCHITECTURE. They are made a second time from
# TREE and must have the same bytes; then each is installed in a bare Debian without Swift, where the first command of the README
# that needs only fixtures is typed.
set -euo pipefail
out=$(realpath "$1")
tree=$(realpath "$2")
architecture=$3
cd "$(dirname "$0")/../.."
suite=bookworm
cache=${RESECT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/resect}/debian-$suite
work=$(mktemp -d "$out/test.XXXXXX")
mounts=()
finish() {
    for mount in "${mounts[@]}"; do umount "$mount"; done
    rm -rf "$work"
}
trap finish EXIT
say() { echo "packages: $*"; }
fail() { say "$*"; exit 1; }
tarball=$(ls "$out"/*-linux-"$architecture".tar.gz)
package=$(ls "$out"/*_"$architecture".deb)

packaging/make-packages.sh "$tree" "$work/again" "$architecture" > /dev/null
for file in "$work"/again/*; do
    cmp "$file" "$out/$(basename "$file")" || fail "$(basename "$file") differs when it is made again"
done
say "the same bytes when they are made again: $(cd "$work/again" && echo ./*)"

lintian --allow-root --fail-on error,warning "$package"
say "lintian has nothing to say of $(basename "$package")"

# What a bare Debian has; the second run copies it from the cache.
if [ ! -f "$cache.tar" ]; then
    debootstrap --variant=minbase "$suite" "$work/bare" > "$work/debootstrap.log" 2>&1 || { tail "$work/debootstrap.log"; exit 1; }
    mkdir -p "$(dirname "$cache")"
    tar -C "$work/bare" -cf "$cache.part" .
    mv "$cache.part" "$cache.tar"
fi

# Swift finds the arguments of a program in /proc.
mount_proc() {
    mkdir -p "$1/proc"
    mount -t proc proc "$1/proc"
    mounts+=("$1/proc")
}

bare() {
    mkdir "$1"
    tar -C "$1" -xf "$cache.tar"
    [ ! -e "$1/usr/bin/swift" ] || fail "the bare Debian has Swift"
    mkdir "$1/work"
    cp -R fixtures "$1/work"
    mount_proc "$1"
}

# The command as it stands in the README.
line=$(sed -n 's/^    \$ \(resect .*fixtures.*\)/\1/p' README.md | head -n 1)
[ -n "$line" ] || fail "no command of the README needs only fixtures"

typed() {
    say "in $1: $ $line"
    chroot "$work/$1" sh -c "cd /work && $line"
    chroot "$work/$1" sh -c "cd /work && resect quantize fixtures/kjv-7m -o q8.gguf --type Q8_0 --quiet"
    chroot "$work/$1" resect --version
}

bare "$work/deb"
cp "$package" "$work/deb/tmp/resect.deb"
chroot "$work/deb" apt-get -q install -y --no-install-recommends /tmp/resect.deb 2>&1 | tail -n 3
libraries=$(chroot "$work/deb" ldd /usr/bin/resect 2>&1 || true)
say "libraries: $libraries"
if echo "$libraries" | grep -vE 'not a dynamic executable|statically linked|linux-vdso|lib(c|m|dl|pthread)\.so|ld-linux'; then
    fail "needs a library beyond libc"
fi
typed deb
chroot "$work/deb" sh -c 'apt-get -q purge -y resect' | tail -n 1
[ -z "$(find "$work/deb/usr" -path "$work/deb/usr/share/doc/resect*" -o -name 'resect*')" ] || fail "purge left files behind"

bare "$work/tarball"
tar -C "$work/tarball/usr/local" --strip-components 1 -xf "$tarball"
typed tarball

cmp "$work/deb/work/q8.gguf" "$work/tarball/work/q8.gguf" || fail "the programs of both packages write different bytes"

# A container from nothing has the tarball and no other file.
mkdir "$work/empty"
tar -C "$work/empty" -xf "$tarball"
cp -R fixtures/kjv-7m "$work/empty"
mount_proc "$work/empty"
program=/$(cd "$work/empty" && ls -d resect-*)/bin/resect
chroot "$work/empty" "$program" cut kjv-7m -o - --format gguf --layers 4:6 --quiet | TMPDIR=/ chroot "$work/empty" "$program" inspect - | head -n 3

if command -v ruby > /dev/null; then ruby -c "$out/resect.rb"; fi
if command -v buildah > /dev/null; then
    image=$(buildah build --isolation chroot --quiet "$out")
    container=$(buildah from "$image")
    buildah run --isolation chroot "$container" -- "$program" --version
    buildah rm "$container" > /dev/null
    buildah rmi "$image" > /dev/null
fi
say "done"
