# gswarm-observer. `make help` lists the targets.
#
# Out of tree: everything made stands in build/ (or OUT=…). V=1 shows commands.

OUT   ?= build
CC    ?= gcc
CLANG ?= clang
BPFTOOL ?= $(firstword $(shell command -v bpftool 2>/dev/null) /usr/sbin/bpftool)
PKG_CONFIG ?= pkg-config
ARCH  ?= $(patsubst x86_64,x86,$(patsubst aarch64,arm64,$(shell uname -m)))

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

CFLAGS_ALL = -std=gnu17 $(WARN) $(OPT) $(HARDEN) $(SAN) -D_GNU_SOURCE \
             -Iinclude -Iuser -I$(OUT) $(shell $(PKG_CONFIG) --cflags $(PACKAGES)) $(CFLAGS)
LIBS       = $(shell $(PKG_CONFIG) --libs $(PACKAGES)) -lpthread -ldl -lm

BPF_CFLAGS := -g -O2 -Wall -Wextra -Wno-unused-parameter -Werror -Wno-missing-declarations \
              --target=bpf -mcpu=v3 -D__TARGET_ARCH_$(ARCH) \
              -Iinclude -Ibpf -Ivmlinux/$(ARCH) -Ivmlinux

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

$(OUT)/bpf/%.bpf.o: bpf/%.bpf.c
	$(call say,BPF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -MT $@ -MF $(@:.o=.d) -c $< -o $@.dwarf
	$(Q)$(BPFTOOL) gen object $@ $@.dwarf && rm $@.dwarf

$(OUT)/bpf/%.skel.h: $(OUT)/bpf/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@

# -MMD records header dependencies, but a skeleton must exist before the first
# compile, hence order-only.
$(OUT)/%.o: %.c | $(SKELS)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -DOBS_VERSION='"$(VERSION)"' -MMD -MP -c $< -o $@

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

.PHONY: clean
clean: ## remove everything made
	rm -rf $(OUT) build-asan build-coverage compile_commands.json

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z_-]+:.*## / { printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2 }' \
	$(MAKEFILE_LIST) | (test -t 1 && cat || sed 's/\x1b\[[0-9;]*m//g')

-include tests/tests.mk
-include tests/kernels/kernels.mk

-include $(wildcard $(OUT)/bpf/*.d $(OUT)/user/*.d $(OUT)/user/*/*.d $(OUT)/tests/*/*.d)

.DELETE_ON_ERROR:
.SECONDARY:
