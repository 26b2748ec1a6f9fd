# Programs that run inside other kernels (scripts/kernel-test.sh).

# These objects need no vmlinux.h: <linux/bpf.h> and what they declare themselves.
KTEST_UAPI  := -idirafter /usr/include/$(shell $(CC) -print-multiarch)
KTEST_SRCS  := $(wildcard tests/kernels/*.bpf.c)
KTEST_BINS  := $(KTEST_SRCS:tests/kernels/%.bpf.c=$(OUT)/tests/kernels/%)

$(OUT)/tests/kernels/%.bpf.o: tests/kernels/%.bpf.c
	$(call say,BPF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) $(KTEST_UAPI) -MMD -MP -MT $@ -MF $(@:.o=.d) -c $< -o $@.dwarf
	$(Q)$(BPFTOOL) gen object $@ $@.dwarf && rm $@.dwarf

$(OUT)/tests/kernels/%.skel.h: $(OUT)/tests/kernels/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@

$(OUT)/tests/kernels/%: tests/kernels/%.c $(OUT)/tests/kernels/%.skel.h
	$(call say,CC,$@)
	$(Q)$(CC) $(CFLAGS_ALL) -Itests/kernels -MMD -MP -MF $@.d -o $@ $< \
		$(shell $(PKG_CONFIG) --libs libbpf libelf zlib) -lutil

KERNELS ?= 6.1,6.12,7.3

.PHONY: test-kernels
test-kernels: all node $(KTEST_BINS) $(OUT)/tests/bench/talk_loop ## run the tests that need other kernels, under QEMU (KERNELS=6.1,…)
	$(Q)scripts/kernel-test.sh -k $(KERNELS) -t 600 -f /usr/sbin/mke2fs -m ext4,overlay,loop,sch_netem,veth,tcp_diag \
		-f tests/kernels/filesystems.sh -f tests/kernels/ways.sh -f tests/kernels/usage.sh -f tests/kernels/talk.sh \
		-f tests/kernels/deaths.sh -f tests/kernels/net.sh -f /usr/sbin/ip -f /usr/sbin/tc -f tests/kernels/flows.sh -- \
		tests/kernels/guest.sh $(BIN) $(WAYS) $(OUT)/tests/kernels/write_hooks $(OUT)/tests/bench/talk_loop \
		$(NODE) $(DIALER)
