# gswarm-observer. `make help` lists the targets.
#
# Out of tree: everything made stands in build/ (or OUT=…). V=1 shows commands.

OUT   ?= build
CC    := $(if $(filter default,$(origin CC)),gcc,$(CC))
CLANG ?= clang
BPFTOOL ?= $(firstword $(shell command -v bpftool 2>/dev/null) /usr/sbin/bpftool)
PKG_CONFIG ?= pkg-config
ARCH  ?= $(patsubst x86_64,x86,$(patsubst aarch64,arm64,$(shell uname -m)))

# CROSS=aarch64-linux-gnu builds for that machine, with clang and the libraries in SYSROOT (which
# scripts/sysroot.sh fetches).
ifneq ($(CROSS),)
  ARCH       := $(patsubst x86_64%,x86,$(patsubst aarch64%,arm64,$(CROSS)))
  override CC := $(CCACHE) $(CLANG) --target=$(CROSS) --sysroot=$(SYSROOT)
  override LDFLAGS += -fuse-ld=lld
  PKG_CONFIG := PKG_CONFIG_SYSROOT_DIR=$(SYSROOT) \
                PKG_CONFIG_LIBDIR=$(SYSROOT)/usr/lib/$(CROSS)/pkgconfig pkg-config
endif

ifeq ($(V),1)
  Q   :=
  say  =
else
  Q   := @
  say  = @printf '  %-7s %s\n' '$(1)' '$(2:$(OUT)/%=%)'
endif

PACKAGES := libbpf libelf zlib libcurl yaml-0.1 libcjson libuv sqlite3 \
            libmicrohttpd libpcre2-8 libzstd libxxhash libcap
WARN     := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wno-missing-field-initializers
HARDEN   ?= -D_FORTIFY_SOURCE=2 -fstack-protector-strong
OPT      ?= -O2 -g
VERSION  := $(shell git describe --always --dirty 2>/dev/null || echo unknown)

PKG_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PACKAGES) 2>/dev/null)
PKG_LIBS   := $(shell $(PKG_CONFIG) --libs $(PACKAGES) 2>/dev/null)
CFLAGS_ALL = -std=gnu17 $(WARN) $(OPT) $(HARDEN) $(SAN) -D_GNU_SOURCE \
             -Iinclude -Iuser -isystem $(OUT) $(PKG_CFLAGS) $(CFLAGS)
LIBS       = $(PKG_LIBS) -lpthread -ldl -lm

BPF_CFLAGS := -g -O2 -Wall -Wextra -Wno-unused-parameter -Werror -Wno-missing-declarations \
              --target=bpf -mcpu=v3 -D__TARGET_ARCH_$(ARCH) \
              -Iinclude -Ibpf -Ivmlinux \
              -idirafter $(SYSROOT)/usr/include/$(shell $(CC) -print-multiarch 2>/dev/null)

BPF_SRCS  := $(wildcard bpf/*.bpf.c)
SKELS     := $(BPF_SRCS:bpf/%.bpf.c=$(OUT)/bpf/%.skel.h)
USER_SRCS := $(filter-out user/main.c,$(wildcard user/*.c user/*/*.c))
USER_OBJS := $(USER_SRCS:%.c=$(OUT)/%.o)
BIN       := $(OUT)/gswarm-observer
LIB       := $(OUT)/libobs.a
UNIT_SRCS := $(wildcard tests/unit/test_*.c)
UNIT_BINS := $(UNIT_SRCS:tests/unit/%.c=$(OUT)/tests/unit/%)

.PHONY: all
all: $(BIN) ## build the observer (default)

$(SKELS:%.skel.h=%.bpf.o): $(OUT)/bpf/%.bpf.o: bpf/%.bpf.c
	$(call say,BPF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -MT $@ -MF $(@:.o=.d) -c $< -o $@.dwarf
	$(Q)$(BPFTOOL) gen object $@ $@.dwarf && rm $@.dwarf

$(SKELS): $(OUT)/bpf/%.skel.h: $(OUT)/bpf/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@

# -MD, not -MMD: skeletons come by -isystem, and must rebuild who includes them.
# It records header dependencies, but a skeleton must exist before the first
# compile, hence order-only.
$(OUT)/%.o: %.c | $(SKELS)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -DOBS_VERSION='"$(VERSION)"' -MD -MP -c $< -o $@

$(LIB): $(USER_OBJS)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BIN): $(OUT)/user/main.o $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(SAN) $(LDFLAGS) -o $@ $< $(LIB) $(LIBS)

$(OUT)/tests/unit/%: $(OUT)/tests/unit/%.o $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(SAN) $(LDFLAGS) -o $@ $< $(LIB) -lcmocka $(LIBS)

.PHONY: check
check: $(BIN) $(UNIT_BINS) ## build and run the unit tests (no root needed)
	$(Q)fail=0; for t in $(UNIT_BINS); do $$t >$$t.log 2>&1 || { cat $$t.log; fail=1; }; done; \
	test $$fail = 0 && echo "  CHECK   $(words $(UNIT_BINS)) unit test programs passed"

# Run, install.

SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

.PHONY: run
run: ## install what is missing, build, watch this host (Ctrl-C ends it)
	$(Q)scripts/install-deps.sh
	$(Q)$(MAKE) --no-print-directory all
	$(Q)exec $(SUDO) $(BIN) run -c configs/config.yaml

PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
UNITDIR    ?= $(PREFIX)/lib/systemd/system
MANDIR     ?= $(PREFIX)/share/man
MAN8       := $(wildcard docs/man/*.8)
MAN5       := $(wildcard docs/man/*.5)
UNIT       := configs/gswarm-observer.service
CONFIG     := $(DESTDIR)$(SYSCONFDIR)/gswarm-observer/config.yaml

.PHONY: install
install: $(BIN) ## install program, manual, config and unit (PREFIX=/usr/local, DESTDIR=)
	install -D -m 755 $(BIN) $(DESTDIR)$(PREFIX)/bin/gswarm-observer
	$(if $(MAN8),install -D -m 644 -t $(DESTDIR)$(MANDIR)/man8 $(MAN8))
	$(if $(MAN5),install -D -m 644 -t $(DESTDIR)$(MANDIR)/man5 $(MAN5))
	install -d $(DESTDIR)$(UNITDIR)
	sed 's|/usr/local/bin|$(PREFIX)/bin|' $(UNIT) > $(DESTDIR)$(UNITDIR)/$(notdir $(UNIT))
	test -e $(CONFIG) || install -D -m 600 configs/config.yaml $(CONFIG)

.PHONY: uninstall
uninstall: ## remove what install brought; config and state stay
	rm -f $(DESTDIR)$(PREFIX)/bin/gswarm-observer $(DESTDIR)$(UNITDIR)/$(notdir $(UNIT)) \
	  $(MAN8:docs/man/%=$(DESTDIR)$(MANDIR)/man8/%) $(MAN5:docs/man/%=$(DESTDIR)$(MANDIR)/man5/%)

# Tools of the trade.

SCRIPTS  = $(wildcard scripts/*.sh tests/*.sh tests/*/*.sh .ci/run)
C_FILES  = $(shell git ls-files -co --exclude-standard '*.c' '*.h' ':!vmlinux/' ':!*/vmlinux.h')
TEST_SRCS = $(wildcard tests/*/*.c)

.PHONY: lint
lint: format-check tidy length-check rules-check shell-check unit-check link-check ## format, clang-tidy, lengths, house rules, shell, links

.PHONY: format format-check
format: ## clang-format all C files in place
	$(Q)clang-format -i $(C_FILES)
format-check: ## is everything formatted?
	$(Q)clang-format --dry-run -Werror $(C_FILES)
	@echo '  FORMAT  $(words $(C_FILES)) files'

# One file per process: clang-tidy 14 mistakes va_start in all files but the first.
.PHONY: tidy
tidy: compile_commands.json $(SKELS) ## clang-tidy over user/
	$(Q)printf '%s\n' user/main.c $(USER_SRCS) | xargs -P 2 -n 1 clang-tidy --quiet -p . 2>$(OUT)/tidy.log || \
	  { grep -v 'warnings\? generated' $(OUT)/tidy.log; false; }
	@echo '  TIDY    $(words user/main.c $(USER_SRCS)) files'

.PHONY: length-check rules-check shell-check unit-check link-check
length-check: ## no function over 100 lines; prints median and p90
	$(Q)scripts/lint-length.sh
rules-check: ## the house rules that a machine can check
	$(Q)scripts/lint-rules.sh
shell-check: ## shellcheck over scripts/, tests/ and .ci/run
	$(Q)shellcheck $(SCRIPTS)
	@echo '  SHELL   $(words $(SCRIPTS)) scripts'
unit-check: $(BIN) ## systemd-analyze over the unit file
	$(Q)scripts/lint-unit.sh $(UNIT) $(BIN)

link-check: ## do the documents' links lead somewhere?
	$(Q)scripts/lint-links.sh

# No bear needed: the flags stand here.
.PHONY: FORCE
compile_commands.json: FORCE ## for clangd, clang-tidy and editors
	$(Q)scripts/compile-commands.sh \
	  $(CC) $(CFLAGS_ALL) -DOBS_VERSION='"$(VERSION)"' -- user/main.c $(USER_SRCS) $(TEST_SRCS) \
	  ++ $(CLANG) $(BPF_CFLAGS) -- $(BPF_SRCS) > $@

ASAN_TARGETS ?= $(if $(wildcard tests/e2e/run.py),test-e2e)
ASAN := OUT=build-asan OPT='-O1 -g' HARDEN= \
        SAN='-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer'

.PHONY: asan
asan: ## unit and e2e tests under AddressSanitizer and UBSan, in build-asan/
	$(Q)$(MAKE) --no-print-directory $(ASAN) check $(ASAN_TARGETS)

.PHONY: coverage
coverage: ## unit tests with gcov; report in build-coverage/html/
	$(Q)$(MAKE) --no-print-directory OUT=build-coverage OPT='-O0 -g' HARDEN= \
	  SAN='--coverage -fprofile-update=atomic' check
	$(Q)mkdir -p build-coverage/html
	$(Q)gcovr --root . --filter user/ --object-directory build-coverage --print-summary \
	  --html-details build-coverage/html/index.html --txt build-coverage/coverage.txt
	$(Q)cat build-coverage/coverage.txt

.PHONY: check-clang
check-clang: ## build everything with clang and run the unit tests, in build-clang/
	$(Q)$(MAKE) --no-print-directory CC=$(CLANG) OUT=build-clang check

BENCH_BINS := $(patsubst tests/bench/%.c,$(OUT)/tests/bench/%,$(wildcard tests/bench/*.c))
BENCH_ARGS ?=

$(OUT)/tests/bench/%: $(OUT)/tests/bench/%.o $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(SAN) $(LDFLAGS) -o $@ $< $(LIB) $(LIBS)

.PHONY: bench
bench: $(BIN) $(BENCH_BINS) $(OUT)/tests/triggers/connect_storm $(OUT)/tests/node/node ## what watching costs, measured here (root; BENCH_ARGS=--help)
	$(Q)tests/bench/bench.py --bin $(BIN) --loop $(OUT)/tests/bench/write_loop $(BENCH_ARGS)

.PHONY: clean
clean: ## remove everything made
	rm -rf $(OUT) build-asan build-clang build-coverage compile_commands.json

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9_.-]+:.*## / { printf "  \033[1m%-22s\033[0m %s\n", $$1, $$2 }' \
	$(MAKEFILE_LIST) | (test -t 1 && cat || sed 's/\x1b\[[0-9;]*m//g')

-include tests/tests.mk
-include tests/fuzz/fuzz.mk
-include tests/kernels/kernels.mk

-include $(wildcard $(OUT)/bpf/*.d $(OUT)/user/*.d $(OUT)/user/*/*.d $(OUT)/tests/*/*.d)

.DELETE_ON_ERROR:
.PRECIOUS: $(OUT)/%.o
