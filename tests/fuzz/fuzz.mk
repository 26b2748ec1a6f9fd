# libFuzzer targets: `make fuzz`, or `make fuzz SECONDS=600`. Needs clang.
# The library is built a second time, by clang, with the sanitizers.

SECONDS   ?= 10
FUZZ_OUT  := $(OUT)/fuzz
FUZZ_SAN  := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
FUZZ_DIRS := user/util user/pipeline user/parse user/stream
FUZZ_SRCS := $(foreach d,$(FUZZ_DIRS),$(wildcard $(d)/*.c)) $(wildcard user/collect/p2pd*.c) \
	     user/collect/key_names.c user/model/p2p.c
FUZZ_OBJS := $(FUZZ_SRCS:%.c=$(FUZZ_OUT)/%.o)
FUZZ_BINS := $(patsubst tests/fuzz/%.c,$(FUZZ_OUT)/%,$(wildcard tests/fuzz/fuzz_*.c))

$(FUZZ_OUT)/%.o: %.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) -std=gnu17 -O1 -g $(FUZZ_SAN) -D_GNU_SOURCE -Iinclude -Iuser \
	$(shell $(PKG_CONFIG) --cflags $(PACKAGES)) -MMD -MP -c $< -o $@

# An archive: of a folder's objects only those that a target needs are linked.
$(FUZZ_OUT)/libobs.a: $(FUZZ_OBJS)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(FUZZ_OUT)/fuzz_%: $(FUZZ_OUT)/tests/fuzz/fuzz_%.o $(FUZZ_OUT)/libobs.a
	$(call say,LINK,$@)
	$(Q)$(CLANG) -fsanitize=fuzzer,address,undefined -o $@ $^ $(LIBS)

# Seeds in text: every corpus line, all of them as one text, the scenarios, which have tracebacks,
# and answers of an RPC server. For what reads something else, seeds/TARGET.
FUZZ_TEXTS := $(wildcard tests/data/scenario-*.txt tests/data/rpc/*.json)
FUZZ_MADE  := tests/fuzz/seeds.py $(wildcard tests/data/p2pd/*.writes) \
	      $(addprefix tests/unit/,test_maddr.c test_peerid.c)

$(FUZZ_OUT)/seeds: tests/data/loglines.tsv $(FUZZ_TEXTS) $(FUZZ_MADE)
	$(Q)mkdir -p $@/text
	$(Q)cut -f3 $< | sed 1d | split -l 1 - $@/text/line.
	$(Q)cut -f3 $< | sed 1d >$@/text/all
	$(Q)cp $(FUZZ_TEXTS) $@/text/
	$(Q)tests/fuzz/seeds.py $@
	$(Q)touch $@

FUZZ_JOBS ?= 1

.PRECIOUS: $(FUZZ_OUT)/%.o

.PHONY: fuzz
fuzz: $(FUZZ_BINS) $(FUZZ_OUT)/seeds ## run every fuzz target for SECONDS (default 10) each, FUZZ_JOBS at a time
	$(Q)printf '%s\n' $(FUZZ_BINS) | \
	xargs -P $(FUZZ_JOBS) -n 1 tests/fuzz/run.sh $(SECONDS) $(FUZZ_OUT)/seeds

-include $(wildcard $(FUZZ_OUT)/user/*/*.d $(FUZZ_OUT)/tests/fuzz/*.d)
