# The look-alike, the demo, the end-to-end tests. Included by the Makefile.

NODE      := $(OUT)/tests/node/node
NODE_OBJS := $(OUT)/tests/node/node.o $(OUT)/tests/node/script.o

# It stands apart from the observer: static, no libraries, no sanitizers. So that it runs in an
# empty image.
$(OUT)/tests/node/%.o: tests/node/%.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu17 $(WARN) -O2 -g -D_GNU_SOURCE -MMD -MP -c $< -o $@

$(NODE): $(NODE_OBJS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -static -o $@ $^

WAYS      := $(OUT)/tests/triggers/ways
ALONE     := $(addprefix tests/triggers/,connect_storm.c dialer.c clock_shift.c)
WAYS_SRCS := $(filter-out $(ALONE),$(wildcard tests/triggers/*.c))
WAYS_OBJS := $(WAYS_SRCS:%.c=$(OUT)/%.o)
STORM     := $(OUT)/tests/triggers/connect_storm
DIALER    := $(OUT)/tests/triggers/dialer

$(OUT)/tests/triggers/%.o: tests/triggers/%.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu17 $(WARN) -O2 -g -D_GNU_SOURCE -Iuser -MMD -MP -c $< -o $@

$(WAYS): $(WAYS_OBJS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -static -pthread -o $@ $^

$(STORM) $(DIALER): %: %.o
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -static -o $@ $^

.PHONY: node
node: $(NODE) $(WAYS) $(STORM) $(DIALER) ## build the node look-alike (tests/node), awkward writers and connectors (tests/triggers)

# What stands in for NVIDIA's library where there is no GPU of theirs.
NVML_STANDIN := $(OUT)/tests/unit/nvml_standin.so

$(NVML_STANDIN): tests/unit/nvml_standin.c
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu17 $(WARN) -O2 -g -D_GNU_SOURCE $(LDFLAGS) -shared -fPIC -o $@ $<

# A process that it is put before has a wall clock of its own.
CLOCK_SHIFT := $(OUT)/tests/triggers/clock_shift.so

$(CLOCK_SHIFT): tests/triggers/clock_shift.c
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu17 $(WARN) -O2 -g -D_GNU_SOURCE $(LDFLAGS) -shared -fPIC -o $@ $<

$(OUT)/tests/unit/test_gpu: | $(NVML_STANDIN)
node: $(NVML_STANDIN) $(CLOCK_SHIFT)

.PHONY: demo
demo: all node ## start a node look-alike in a container and show its events live
	$(Q)OBSERVER=$(abspath $(BIN)) NODE=$(abspath $(NODE)) scripts/demo.sh

# E2E='crash config.bad' runs only the cases whose names hold one of the words.
.PHONY: test-e2e
test-e2e: all node ## run the end-to-end tests (root: all of them; else those that can)
	$(Q)tests/e2e/run.py --observer $(abspath $(BIN)) --node $(abspath $(NODE)) $(E2E)

# What takes long or needs much: a thousand kills, 1 GB through a small ring, and a real
# hivemind (1 GB), fetched first.
.PHONY: test-long
test-long: all node ## the long tests: 1,000 kills, 1 GB bursts, 10,000 connections, real hivemind nodes and swarms (root; fetches about 1 GB once)
	$(Q)scripts/fetch-hivemind.sh >/dev/null
	$(Q)$(MAKE) --no-print-directory test-kernels FILE_RUNGS="fexit sys_exit inotify"
	$(Q)GSO_LONG=1 tests/e2e/run.py --observer $(abspath $(BIN)) --node $(abspath $(NODE)) \
	  $(or $(E2E),real. swarm. load.rate_big load.hold_big crash.kill_9 burst.small_ring_big store.read_only_while)

.PHONY: test
test: ## install what is missing, run every test, sum up in the last line
	$(Q)test ! -x scripts/install-deps.sh || scripts/install-deps.sh test fuzz kernels
	$(Q)OUT=$(OUT) tests/all.sh $(UNIT_BINS)
