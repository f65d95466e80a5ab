#!/usr/bin/env bash
# Builds the program for Linux on arm64, on any Debian, as root: arm64.sh WORK OUT. In WORK lies a Debian sid with its Swift, and in
# it, under /arm, the libraries of the same Swift for arm64, against which it is linked statically. OUT gets the program.
set -euo pipefail
mkdir -p "$1"
work=$(realpath "$1")
out=$(realpath -m "$2")
cd "$(dirname "$0")/.."
sid=$work/sid
# Options for apt, such as those that a frozen mirror needs.
read -ra apt <<< "${APT_OPTIONS:-}"
libraries="libc6 libc6-dev libgcc-15-dev libgcc-s1 libstdc++-15-dev libstdc++6 libswiftlang libxxhash-dev libzstd-dev swiftlang"
swift=/arm/usr/libexec/swift/lib/swift_static

inside() { chroot "$sid" env HOME=/root LC_ALL=C "$@"; }

# Swift finds its own place in /proc.
mount_proc() {
    mountpoint -q "$sid/proc" || mount -t proc proc "$sid/proc"
    trap 'umount "$sid/proc"' EXIT
}

if [ ! -e "$sid/arm/complete" ]; then
    [ -d "$sid/root" ] || debootstrap --variant=minbase sid "$sid"
    mount_proc
    inside apt-get -q "${apt[@]}" update
    inside apt-get -q install -y --no-install-recommends ca-certificates git libc6-dev pkg-config swiftlang
    inside dpkg --add-architecture arm64
    inside apt-get -q "${apt[@]}" update
    mkdir -p "$sid/arm/packages"
    # shellcheck disable=SC2086
    inside sh -c "cd /arm/packages && apt-get -q download $(printf '%s:arm64 ' $libraries)"
    for package in "$sid"/arm/packages/*.deb; do dpkg-deb -x "$package" "$sid/arm"; done
    ln -sfn usr/lib "$sid/arm/lib"
    ln -sfn ../libexec/swift/lib/swift_static "$sid/arm/usr/lib/swift_static"
    # The headers of the kernel are in a package of all architectures.
    cp -an "$sid/usr/include/linux" "$sid/usr/include/asm-generic" "$sid/arm/usr/include"
    cp -an "$sid/usr/lib/linux/uapi/arm64/asm" "$sid/arm/usr/include/aarch64-linux-gnu"
    mkdir -p "$sid/arm/pkgconfig"
    for file in "$sid"/arm/usr/lib/aarch64-linux-gnu/pkgconfig/*.pc; do
        sed -e 's#^prefix=.*#prefix=/arm/usr#' -e 's#-L[^ ]*##' "$file" > "$sid/arm/pkgconfig/$(basename "$file")"
    done
    rm -rf "$sid/arm/packages"
    touch "$sid/arm/complete"
else
    mount_proc
fi

cat > "$sid/arm/destination.json" <<END
{"version": 1, "sdk": "/arm", "target": "aarch64-unknown-linux-gnu", "toolchain-bin-dir": "/usr/libexec/swift/bin",
 "dynamic-library-extension": "so", "extra-cc-flags": ["--sysroot=/arm"], "extra-cpp-flags": ["-lstdc++"],
 "extra-swiftc-flags": ["-sdk", "/arm", "-resource-dir", "$swift", "-use-ld=lld", "-Xcc", "--sysroot=/arm"]}
END
mkdir -p "$sid/sources" "$sid/root/.cache"
git ls-files -z | xargs -0 cp --parents -t "$sid/sources"
# A dependency that this machine has fetched need not be fetched again.
if [ -d ~/.cache/org.swift.swiftpm ]; then cp -an ~/.cache/org.swift.swiftpm "$sid/root/.cache"; fi
inside env PKG_CONFIG_LIBDIR=/arm/pkgconfig RESECT_COMMIT="${RESECT_COMMIT:-}" swift build --package-path /sources \
    --destination /arm/destination.json --scratch-path /sources/.build-arm64 -c release --product resect --static-swift-stdlib \
    -Xswiftc -Xllvm -Xswiftc -sil-disable-pass=deadobject-elim -Xswiftc -static-executable -Xlinker --defsym -Xlinker XXH3_128bits_update_dispatch=XXH3_128bits_update
install -D "$sid/sources/.build-arm64/release/resect" "$out"
