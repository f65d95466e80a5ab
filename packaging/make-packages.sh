#!/usr/bin/env bash
# Makes a tarball, a Debian package, a Dockerfile and a Homebrew formula of an installed tree (PREFIX=/usr):
#
#     make-packages.sh TREE OUT ARCHITECTURE
#
# The same tree gives the same bytes: files are sorted and belong to root, and their time is SOURCE_DATE_EPOCH, else that of the
# last commit.
set -euo pipefail
export LC_ALL=C TZ=UTC
umask 022
tree=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2")
architecture=$3
cd "$(dirname "$0")/.."
version=$(sed -n 's/.*static let version = "\(.*\)"/\1/p' Sources/Checkpoints/Release.swift)
maintainer=${MAINTAINER:-resect maintainers <resect@example.org>}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2> /dev/null || echo 0)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

settle() { find "$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +; }

# Copies the notices of everything that is linked into the program.
notices() {
    install -d "$1"
    install -m 644 Sources/CTexts/ORIGINS.md "$1/texts.md"
    install -m 644 fixtures/corpus-notices.md "$1/texts-notices.md"
    local package
    for package in libc6-dev libgcc-12-dev libstdc++-12-dev libxxhash-dev libzstd-dev; do
        install -m 644 "/usr/share/doc/$package/copyright" "$1/$package"
    done
    install -m 644 "$(dirname "$(realpath "$(command -v swift)")")/../share/swift/LICENSE.txt" "$1/swift"
    install -m 644 "${ARGUMENT_PARSER:-.build-install/checkouts/swift-argument-parser}/LICENSE.txt" "$1/swift-argument-parser"
}

tarball() {
    local root=$work/resect-$version
    cp -R "$tree/usr" "$root"
    cp README.md CHANGELOG.md LICENSE "$root"
    notices "$root/share/doc/resect/notices"
    settle "$root"
    tar --sort=name --format=gnu --owner=0 --group=0 --numeric-owner --mode=u+rw,go=rX -C "$work" -cf - "resect-$version" \
        | gzip -9n > "$out/resect-$version-linux-$architecture.tar.gz"
}

# The source packages of the linked libraries, for the field Built-Using of Debian's policy.
built_using() {
    dpkg-query -W -f '${source:Package} (= ${source:Version})\n' libc6-dev libgcc-12-dev libxxhash-dev libzstd-dev \
        | sort -u | paste -sd, | sed 's/,/, /g'
}

debian() {
    local root=$work/debian
    local documents=$root/usr/share/doc/resect
    mkdir -p "$root/DEBIAN"
    cp -R "$tree/usr" "$root"
    if [ -d "$root/usr/share/zsh/site-functions" ]; then
        mv "$root/usr/share/zsh/site-functions" "$root/usr/share/zsh/vendor-completions"
    fi
    # bash reads the completions and does not run them, so they need no interpreter line.
    sed -i '1{/^#!/d;}' "$root/usr/share/bash-completion/completions/resect"
    notices "$documents/notices"
    cp README.md "$documents"
    cp packaging/copyright "$documents/copyright"
    cp CHANGELOG.md "$documents/changelog"
    printf 'resect (%s-1) unstable; urgency=medium\n\n  * See changelog.gz.\n\n -- %s  %s\n' \
        "$version" "$maintainer" "$(date -R -u -d "@$SOURCE_DATE_EPOCH")" > "$documents/changelog.Debian"
    gzip -9n "$documents/changelog" "$documents/changelog.Debian" "$root"/usr/share/man/man?/*
    install -D -m 644 packaging/lintian-overrides "$root/usr/share/lintian/overrides/resect"
    (cd "$root" && find usr -type f | sort | xargs md5sum > DEBIAN/md5sums)
    {
        printf 'Package: resect\nVersion: %s-1\nArchitecture: %s\nMaintainer: %s\n' "$version" "$architecture" "$maintainer"
        printf 'Installed-Size: %s\nBuilt-Using: %s\n' "$(du -k -s --apparent-size "$root/usr" | cut -f 1)" "$(built_using)"
        cat packaging/control
    } > "$root/DEBIAN/control"
    settle "$root"
    dpkg-deb --root-owner-group -Zxz --build "$root" "$out/resect_$version-1_$architecture.deb" > /dev/null
}

# Fills in a template: the version, the tarball's hash, and where it lies: beside the formula, or at RELEASE_URL.
filled() {
    sed -e "s|@VERSION@|$version|g" -e "s|@URL@|${RELEASE_URL:-file://#{__dir__\}}|g" \
        -e "s|@SHA256@|$(sha256sum "$out/resect-$version-linux-amd64.tar.gz" | cut -d ' ' -f 1)|g" "packaging/$1"
}

tarball
debian
filled Dockerfile > "$out/Dockerfile"
filled resect.rb > "$out/resect.rb"
(cd "$out" && sha256sum -- *.tar.gz *.deb > SHA256SUMS)
ls -l "$out"
