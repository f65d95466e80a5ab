# `make demo` shrinks a real model, `make test` runs the tests; both install what they need.
# What `make demo` shrinks, and how; without MODEL it takes SmolLM2-135M-Instruct where that can be had.
export MODEL CORPUS EVALUATION DROP TYPE
OUT ?= .build/demo.gguf
PREFIX ?= /usr/local

SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
RESECT := .build/release/resect
SWIFT_SOURCES := Package.swift Sources Tests
# Warnings are errors here, but not for those who use the package.
export RESECT_STRICT := 1
# The commit of `resect --version`; outside a git checkout it is not known, unless it is given.
export RESECT_COMMIT ?= $(shell git describe --always --dirty --abbrev=12 --exclude='*' 2> /dev/null)

BUILD_PACKAGES := git libc6-dev libstdc++-12-dev libxxhash-dev libzstd-dev make pkg-config
DEMO_PACKAGES := python3 python3-pip
CONFORMANCE_PACKAGES := g++ gcc python3 python3-venv
TORTURE_PACKAGES := e2fsprogs mount python3
BENCH_PACKAGES := xfsprogs xxhash zstd
SHELL_PACKAGES := bash fish zsh
TERMINAL_PACKAGES := bsdutils tmux
MAN_PACKAGES := mandoc python3
DIST_PACKAGES := dpkg gzip tar xz-utils
DIST_TEST_PACKAGES := debootstrap lintian
ARM64_PACKAGES := binutils-aarch64-linux-gnu debootstrap qemu-user-static
FIXTURE_PACKAGES := bible-kjv bible-kjv-text python3 python3-venv

# Installs the Debian packages of a list that are missing, by name; elsewhere they are the user's to install.
define install_packages
@if command -v dpkg-query > /dev/null; then \
    missing=$$(for name in $(1); do \
        dpkg-query -W -f '$${db:Status-Status}' $$name 2> /dev/null | grep -qx installed || echo $$name; done | xargs); \
    if [ -n "$$missing" ]; then \
        echo "installing $$missing"; \
        $(SUDO) apt-get -q update && $(SUDO) apt-get -q install -y --no-install-recommends $$missing; \
    fi; \
fi
@command -v swift > /dev/null || { echo "a Swift toolchain, 6.2 or later, is needed: https://www.swift.org/install"; exit 1; }
endef

.PHONY: deps build demo test consumer docs check lint format man completions completions-test fixtures bench conformance torture fuzz \
    install dist dist-test dist-arm64 clean

deps:
	$(call install_packages,$(BUILD_PACKAGES))

build: deps
	swift build -c release --product resect

demo: build
	$(call install_packages,$(DEMO_PACKAGES))
	fixtures/demo.sh $(RESECT) $(OUT)

# The same flags as the build, so that nothing is compiled twice; a crash should not print the backtrace of every thread.
test: deps
	$(call install_packages,$(TERMINAL_PACKAGES))
	SWIFT_BACKTRACE=enable=no swift test -c release --disable-testable-imports

# A package that uses the libraries, built from nothing, so that it finds only what they offer: the examples of the documents.
consumer: deps
	rm -rf .build-consumer
	swift run --package-path Tests/Consumer --scratch-path .build-consumer \
	    Consumer fixtures/kjv-7m fixtures/adapters/plain fixtures/calibration.txt .build-consumer

# DocC of the libraries, from the modules of the build; a warning is an error.
docs: build
	Tests/Documentation/docs.sh .build/release .build/docs

check: lint man
	@git diff --exit-code --stat -- man || { echo "man pages are out of date: commit what 'make man' made"; exit 1; }

lint: deps
	swift format lint --strict --recursive $(SWIFT_SOURCES)

format: deps
	swift format --in-place --recursive $(SWIFT_SOURCES)

# Pages come from the declarations of the commands, from man/ and from schemas/.
man: build
	$(call install_packages,$(MAN_PACKAGES))
	python3 man/pages.py $(RESECT)
	man/lint.sh

fixtures:
	$(call install_packages,$(FIXTURE_PACKAGES) $(CONFORMANCE_PACKAGES))
	cache=$$(Tests/Conformance/peers.sh) && cd fixtures && $$cache/venv/bin/python make.py texts && $$cache/venv/bin/python make.py model

conformance: build
	$(call install_packages,$(CONFORMANCE_PACKAGES))
	RESECT_STATES=1 swift build -c release --product states
	cache=$$(Tests/Conformance/peers.sh) && $$cache/venv/bin/python Tests/Conformance/conformance.py

bench: build
	$(call install_packages,$(CONFORMANCE_PACKAGES) $(BENCH_PACKAGES))
	cache=$$(Tests/Conformance/peers.sh) && $$cache/venv/bin/python Tests/Benchmarks/bench.py

# KILLS runs of each command are killed; the full disk and the lost permissions need root.
KILLS ?= 200
torture: build
	$(call install_packages,$(TORTURE_PACKAGES))
	python3 Tests/Torture/torture.py --kills $(KILLS)

# Ten minutes for each target; make fuzz SECONDS=60 for less.
fuzz: SECONDS ?= 600
fuzz: deps
	Tests/Fuzzing/fuzz.sh $(SECONDS)

# Completions for bash, zsh and fish, in folders as the shells look for them: $(1) is the program, $(2) the folder above.
define write_completions
install -d $(2)/bash-completion/completions $(2)/zsh/site-functions $(2)/fish/vendor_completions.d
$(1) --generate-completion-script bash > $(2)/bash-completion/completions/resect
$(1) --generate-completion-script zsh > $(2)/zsh/site-functions/_resect
$(1) --generate-completion-script fish > $(2)/fish/vendor_completions.d/resect.fish
endef

completions: build
	$(call write_completions,$(RESECT),.build/completions)

# The tests of the completions skip a shell that is missing.
completions-test: deps
	$(call install_packages,$(SHELL_PACKAGES))
	swift test -c release --disable-testable-imports --filter CompletionTests

# On Linux the program needs no library, so that one file runs everywhere. Debian's static libxxhash has no choice of instruction
# sets, so its plain function stands in for it.
STATIC_FLAGS := --static-swift-stdlib $(if $(filter Linux,$(shell uname -s)),-Xswiftc -static-executable \
    -Xlinker --defsym -Xlinker XXH3_128bits_update_dispatch=XXH3_128bits_update)

install: deps
	swift build -c release --product resect $(STATIC_FLAGS) --scratch-path .build-install
	install -d $(addprefix $(DESTDIR)$(PREFIX)/,bin share/man/man1 share/man/man7 share/resect/schemas)
	$(call write_completions,.build-install/release/resect,$(DESTDIR)$(PREFIX)/share)
	install -s .build-install/release/resect $(DESTDIR)$(PREFIX)/bin/resect
	install -m 644 man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 man/*.7 $(DESTDIR)$(PREFIX)/share/man/man7
	install -m 644 schemas/*.json $(DESTDIR)$(PREFIX)/share/resect/schemas

# A tarball, a Debian package, a Dockerfile and a Homebrew formula in .build-dist.
DIST_ARCHITECTURE := $(shell dpkg --print-architecture 2> /dev/null)
dist:
	$(call install_packages,$(DIST_PACKAGES))
	rm -rf .build-dist
	$(MAKE) install DESTDIR=.build-dist/tree PREFIX=/usr
	packaging/make-packages.sh .build-dist/tree .build-dist $(DIST_ARCHITECTURE)

# Installs and runs them in a bare Debian without Swift; needs root.
dist-test: dist
	$(call install_packages,$(DIST_TEST_PACKAGES))
	Tests/Packages/packages.sh .build-dist .build-dist/tree $(DIST_ARCHITECTURE)

# The same tarball and package for Linux on arm64, built with the Swift of Debian sid in a folder of its own and tried under QEMU;
# needs root, and 8 GB there.
ARM64_WORK ?= $(if $(RESECT_CACHE),$(RESECT_CACHE),$(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/resect)/arm64
dist-arm64: dist
	$(call install_packages,$(ARM64_PACKAGES))
	RESECT_COMMIT=$$(git rev-parse --short HEAD) packaging/arm64.sh $(ARM64_WORK) .build-dist/resect-arm64
	cp -a .build-dist/tree .build-dist/tree-arm64
	install -s --strip-program=aarch64-linux-gnu-strip .build-dist/resect-arm64 .build-dist/tree-arm64/usr/bin/resect
	packaging/make-packages.sh .build-dist/tree-arm64 .build-dist arm64
	Tests/Packages/arm64.sh .build-dist/tree/usr/bin/resect .build-dist/tree-arm64/usr/bin/resect

clean:
	rm -rf .build .build-consumer .build-dist .build-fuzz .build-install
