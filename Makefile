# sysfsm: learn which system call may follow which, and hold programs to it.
# `make help` lists the targets.

SHELL := /bin/bash
CARGO ?= cargo
PREFIX ?= /usr/local
TARGET := $(or $(CARGO_TARGET_DIR),target)
# What is installed, and where.
BINARY := $(TARGET)/release/sysfsm
SHARE := $(DESTDIR)$(PREFIX)/share
UNITS := $(addprefix $(DESTDIR)$(PREFIX)/lib/systemd/system/,sysfsm.service sysfsm-record@.service)
DOCS := README.md CHANGELOG.md CONTRIBUTING.md LICENSE $(wildcard docs/*.md docs/*.svg)
COMPLETIONS := bash-completion/completions/sysfsm zsh/site-functions/_sysfsm fish/vendor_completions.d/sysfsm.fish
# What packages are called after.
VERSION ?= $(shell sed -n 's/^version = "\(.*\)"/\1/p;/^version/q' Cargo.toml)
DEB := $(TARGET)/debian/sysfsm_$(VERSION)_amd64.deb
# Root is needed to install packages and to load BPF programs.
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo "sudo -E env PATH=$$PATH")

# What the build needs, and what the tests and the demo run, as Debian's packages.
BUILD_PACKAGES := gcc libc6-dev make pkg-config clang libelf-dev zlib1g-dev linux-libc-dev
TEST_PACKAGES := strace e2fsprogs mount clang-format binutils coreutils tar gzip xz-utils findutils grep ripgrep perl python3 \
	sqlite3 nginx-light redis-server redis-tools apache2-utils curl procps util-linux systemd chromium graphviz valgrind
RARE_PACKAGES := postgresql openssh-server openssh-client
SIGNALS_PACKAGES := golang-go openjdk-17-jdk-headless
BENCH_PACKAGES := wrk
VM_PACKAGES := qemu-system-x86 busybox-static debian-archive-keyring
BOOT_PACKAGES := systemd systemd-container strace binutils procps util-linux
INSTALL := $(SUDO) bash tests/install-packages.sh

# One more than there are processors: some tests wait more than they compute.
TEST_THREADS ?= $(shell echo $$(($$(nproc) + 1)))

.DEFAULT_GOAL := help
.PHONY: help deps deps-build build demo test fuzz test-storm test-endurance test-signals test-rare test-vm test-boot bench bench-parts calibration check policies picture install uninstall deb clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

deps: ## install what is missing of the packages that the build and the tests need
	@$(INSTALL) $(BUILD_PACKAGES) $(TEST_PACKAGES)

deps-build: ## install what is missing of the packages that the build and the demo need
	@$(INSTALL) $(BUILD_PACKAGES) strace

build: deps-build ## build the tool and the programs of the tests
	$(CARGO) build --release -p sysfsm -p sysfsm-fixtures

demo: build ## trace a program, learn its policy, enforce it, attack it (as root)
	$(SUDO) env SYSFSM=$(TARGET)/release/sysfsm PROGRAMS=$(TARGET)/release bash tests/demo.sh

test: deps ## run every test: readers, machine, policies, and enforcement on this kernel (as root)
	$(CARGO) build --release --workspace --all-targets
	$(SUDO) $(CARGO) test --release --no-fail-fast -- --test-threads=$(TEST_THREADS)

fuzz: deps ## ten minutes of random programs against a model of what they may do: MINUTES=N, or SEED=N for one round (as root)
	$(CARGO) build --release --workspace --all-targets
	$(SUDO) env $(if $(SEED),SYSFSM_SEED=$(SEED),MINUTES=$(or $(MINUTES),10)) $(CARGO) test --release --test behaviour -- --nocapture a_minute

test-storm: deps ## record two million calls a second for a minute, and look for what is lost (as root, on a quiet machine)
	$(CARGO) build --release --workspace --all-targets
	$(SUDO) $(CARGO) test --release --test kernel -- --ignored --nocapture a_minute

test-endurance: deps ## ten minutes of crowds and forks, and what they leave behind (as root, on a quiet machine)
	$(CARGO) build --release --workspace --all-targets
	$(SUDO) env ENDURANCE=600 $(CARGO) test --release --test kernel -- --nocapture crowds_and_forks

test-signals: deps ## lawful programs of many signals under enforcement: timers, Go, Java (as root)
	@$(INSTALL) $(SIGNALS_PACKAGES)
	$(CARGO) build --release --workspace --all-targets
	$(SUDO) $(CARGO) test --release --no-fail-fast --test kernel -- --ignored --nocapture --test-threads=1 signals::

test-rare: deps ## real servers on rare paths: watch, review, enforce (as root)
	@$(INSTALL) $(RARE_PACKAGES)
	$(CARGO) build --release --workspace --all-targets
	$(SUDO) $(CARGO) test --release --no-fail-fast --test rare -- --nocapture --test-threads=1

test-vm: deps ## run the kernel tests on stock kernels, in virtual machines
	@$(INSTALL) $(VM_PACKAGES)
	$(CARGO) build --release --workspace --all-targets
	bash tests/vm/run.sh

test-boot: deps-build ## the Debian package and its unit under a real systemd, booted in a container (as root)
	@$(INSTALL) $(BOOT_PACKAGES)
	$(CARGO) build --release
	$(SUDO) env SYSFSM=$(BINARY) bash tests/boot/run.sh

bench: deps ## measure what a call and a log cost, and print the table of docs/performance.md (as root, on a quiet machine)
	@$(INSTALL) $(BENCH_PACKAGES)
	$(CARGO) build --release --workspace --all-targets
	$(SUDO) $(CARGO) bench --bench table

bench-parts: deps ## measure the parser, the step and the compiler of tables by themselves
	$(CARGO) bench --no-default-features --bench parser --bench step --bench compiler

calibration: deps ## check the estimates of coverage against hundreds of real runs, and print the tables of docs/coverage.md
	$(CARGO) test --release --no-default-features --test calibration -- --ignored --nocapture

check: deps ## formatting and lints
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --workspace --all-targets -- -D warnings
	$(CARGO) clippy --release --no-default-features --workspace --all-targets -- -D warnings
	clang-format --dry-run --Werror bpf/*.h bpf/*.c bpf/tests/*.c

policies: deps build ## learn policies/*.json anew from this machine's programs (as root)
	$(SUDO) env SYSFSM=$(TARGET)/release/sysfsm bash policies/learn.sh

picture: build ## draw the README's picture anew
	$(TARGET)/release/sysfsm show --format svg policies/redis-server.json >docs/policy.svg

install: ## install the binary, its man pages, documentation, completions and systemd units under PREFIX
	install -D -m 755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/sysfsm
	install -d -m 755 $(addprefix $(SHARE)/,man/man1 man/man5 $(dir $(COMPLETIONS)))
	umask 022; $(BINARY) generate man $(SHARE)/man/man1
	mv $(SHARE)/man/man1/*.5 $(SHARE)/man/man5
	for file in $(DOCS); do install -D -m 644 "$$file" "$(SHARE)/doc/sysfsm/$$file" || exit 1; done
	umask 022; for file in $(COMPLETIONS); do \
		case $$file in bash*) shell=bash;; zsh*) shell=zsh;; *) shell=fish;; esac; \
		$(BINARY) generate completions $$shell >$(SHARE)/$$file || exit 1; \
	done
	install -d -m 755 $(dir $(UNITS))
	umask 022; for unit in $(UNITS); do sed 's|@PREFIX@|$(PREFIX)|' "packaging/$${unit##*/}" >"$$unit" || exit 1; done

uninstall: ## remove what install has put under PREFIX
	rm -f $(DESTDIR)$(PREFIX)/bin/sysfsm $(UNITS) $(addprefix $(SHARE)/,man/man1/sysfsm.1 man/man1/sysfsm-*.1 man/man5/sysfsm-policy.5 $(COMPLETIONS))
	rm -rf $(SHARE)/doc/sysfsm

deb: ## build a Debian package of the built binary
	bash packaging/debian/build.sh $(VERSION) $(BINARY) $(DEB)

clean: ## remove what was built
	$(CARGO) clean
