# Programs that run inside other kernels (scripts/kernel-test.sh).

# These objects need no vmlinux.h: <linux/bpf.h> and what they declare themselves.
KTEST_UAPI  := -idirafter $(SYSROOT)/usr/include/$(shell $(CC) -print-multiarch)
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
	$(Q)$(CC) $(CFLAGS_ALL) -Itests/kernels -Itests/triggers -MMD -MP -MF $@.d $(LDFLAGS) -o $@ $< \
		$(shell $(PKG_CONFIG) --libs libbpf libelf zlib) -lutil

KERNELS ?= 6.1,6.12,7.3,6.12-arm64

# The rungs on which everything happens to log files in the guests. The others have their own tests
# on this kernel (e2e/test_files.py); test-long takes all three there, too.
FILE_RUNGS ?= fexit

.PHONY: guest-files arm64 test-kernels
guest-files: all node $(KTEST_BINS) $(OUT)/tests/bench/talk_loop

arm64: ## build for arm64 in build/arm64, with clang and a sysroot that is fetched (40 MB) once
	$(Q)$(MAKE) --no-print-directory OUT=$(OUT)/arm64 CROSS=aarch64-linux-gnu \
		SYSROOT=$$(scripts/sysroot.sh arm64) OPT=-O1 guest-files

test-kernels: guest-files $(if $(findstring arm64,$(KERNELS)),arm64) ## run the tests that need other kernels, under QEMU (KERNELS=6.1,…)
	$(Q)scripts/kernel-test.sh -k $(KERNELS) -t 600 -x $(OUT) -f /usr/sbin/mke2fs -m ext4,overlay,loop,sch_netem,veth,tcp_diag \
		-f tests/kernels/lib.sh -f tests/kernels/filesystems.sh -f tests/kernels/ways.sh -f tests/kernels/files.sh -f tests/kernels/consoles.sh \
		-f /usr/sbin/logrotate -f tests/kernels/usage.sh -f tests/kernels/talk.sh \
		-f tests/kernels/deaths.sh -f tests/kernels/canary.sh -f tests/kernels/net.sh -f tests/kernels/net_more.sh -f $(STORM) -f /usr/sbin/ip -f /usr/sbin/tc -f tests/kernels/flows.sh -- \
		tests/kernels/guest.sh $(BIN) $(WAYS) $(OUT)/tests/kernels/write_hooks $(OUT)/tests/bench/talk_loop \
		$(NODE) $(DIALER) $(FILE_RUNGS)
