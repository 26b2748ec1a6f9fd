#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# kernel-test.sh - run a command inside other kernels, under QEMU.
#
# Development machines and hardened hosts refuse fentry/fexit and kprobes; Debian's
# cloud kernels allow them. Each kernel boots in software emulation with a busybox
# initramfs that holds the files named on the command line and the shared libraries
# they need, runs the command as root and hands back its output and exit status.
#
# Kernels are found by package name in the Debian suites of the mirror that this
# machine's apt uses, with an apt root of their own, so that nothing is installed
# here and no sources change.
#
# Kernels of another architecture get programs that were built for it (-x), and the rest from
# scripts/sysroot.sh.
#
# Needs: qemu-system-x86 qemu-system-arm cpio busybox-static kmod xz-utils util-linux binutils
set -euo pipefail
HERE=$(dirname "$0")
# shellcheck source=scripts/apt-root.sh
source "$HERE/apt-root.sh"

NEEDS="cpio busybox modprobe depmod xz flock apt-get dpkg-deb"
CACHE=${OBS_KERNELS:-${XDG_CACHE_HOME:-$HOME/.cache}/gswarm-observer/kernels}
KERNELS=6.1,6.12,7.3
TIMEOUT_S=120
MEMORY_MB=1024
MODULES=
APPEND=
JOBS=$(nproc)
BUILT=
FILES=()

# kernel -> Debian suite
declare -A SUITES=(
	[6.1]=bookworm
	[6.12]=bookworm-backports
	[7.3]=trixie-backports
	[6.12-arm64]=bookworm-backports
)

usage() {
	cat <<EOF
Usage: scripts/kernel-test.sh [options] -- COMMAND [ARG…]

Runs COMMAND inside each kernel. Words of COMMAND that name files or directories
here are taken along by themselves, at the same relative path.

  -k LIST     kernels, comma-separated (default $KERNELS)
  -f PATH     take this file or directory along too (may be repeated)
  -x DIR      what lies below DIR is built; other architectures' lies below DIR/ARCH, and
              stands at the same path in their guests
  -m LIST     kernel modules to load first, e.g. ext4,overlay,loop
  -a TEXT     append to the kernel's command line, e.g. lockdown=integrity
  -t SECONDS  limit for one kernel, boot included (default $TIMEOUT_S)
  -M MB       memory (default $MEMORY_MB)
  -j N        kernels at the same time (default: one per processor, $JOBS)
  -p          only fetch the kernels

Output is TAP: one subtest per kernel, whose lines "ok …" and "not ok …" are counted in the last
line, "N passed, N failed, N skipped". In the guest: /proc, /sys, /dev, tmpfs on
/tmp, cgroup v2, bpffs, tracefs, loopback up; no disk, no network. \$KERNEL is set.

Exit status: with one kernel COMMAND's own; with several 0 if all passed or were
skipped (77), else 1; 124 after a timeout or a crash; 125 if nothing could be run.
EOF
}

die() {
	echo "kernel-test: $*" >&2
	exit 125
}

# arch_of KERNEL: as Debian calls it
arch_of() {
	case $1 in
	*-arm64) echo arm64 ;;
	*) echo amd64 ;;
	esac
}

qemu_of() {
	case $(arch_of "$1") in
	arm64) echo qemu-system-aarch64 ;;
	*) echo qemu-system-x86_64 ;;
	esac
}

# sysroot_of KERNEL: nothing for this machine's own architecture
sysroot_of() {
	case $(arch_of "$1") in
	amd64) ;;
	*) "$HERE/sysroot.sh" "$(arch_of "$1")" ;;
	esac
}

#
# Fetching
#

# newest_package KIND KERNEL: the newest linux-KIND-VERSION.*-cloud-ARCH
newest_package() {
	apt-cache pkgnames "linux-$1-${2%%-*}." |
		grep -E "^linux-$1-[0-9].*-cloud-$(arch_of "$2")\$" | sort -V | tail -n 1 || true
}

# Since 7.x the kernel is in linux-binary-…, its modules in linux-modules-…, the
# list of what is built in in linux-base-….
fetch_packages() {
	local kernel=$1 dir=$2 kind name found=
	for kind in binary modules base image; do
		[ "$kind" = image ] && [ -n "$found" ] && break
		name=$(newest_package "$kind" "$kernel")
		[ -n "$name" ] || continue
		(cd "$dir" && apt-get -qq download "$name")
		found=yes
	done
	[ -n "$found" ] || die "no cloud kernel $kernel in ${SUITES[$kernel]}"
}

# Leaves $CACHE/KERNEL/{release,vmlinuz,lib/modules/RELEASE}.
fetch_kernel() {
	local kernel=$1 tmp=$CACHE/$1.tmp deb modules release
	[ -e "$CACHE/$kernel/release" ] && return
	[ -n "${SUITES[$kernel]:-}" ] || die "unknown kernel $kernel (known: ${!SUITES[*]})"

	echo "# fetching kernel $kernel from ${SUITES[$kernel]}"
	rm -rf "$tmp"
	mkdir -p "$tmp/root" "$tmp/lib/modules"
	APT_CONFIG=$(apt_root "$CACHE/apt/${SUITES[$kernel]}-$(arch_of "$kernel")" \
		"${SUITES[$kernel]}" "$(arch_of "$kernel")")
	export APT_CONFIG
	apt-get -qq update
	fetch_packages "$kernel" "$tmp"
	unset APT_CONFIG

	for deb in "$tmp"/*.deb; do
		dpkg-deb -x "$deb" "$tmp/root"
	done
	find "$tmp/root" -type d -path '*/lib/modules/*' -prune | while read -r modules; do
		cp -a "$modules" "$tmp/lib/modules/"
	done
	release=$(ls "$tmp/lib/modules")
	find "$tmp/root" "$tmp/lib/modules" -name 'vmlinuz*' -type f |
		head -n 1 | xargs -I{} cp {} "$tmp/vmlinuz"
	[ -s "$tmp/vmlinuz" ] || die "no vmlinuz in the packages of $kernel"
	depmod -b "$tmp" "$release"
	rm -rf "$tmp/root" "$tmp"/*.deb
	echo "$release" >"$tmp/release"
	rm -rf "${CACHE:?}/$kernel"
	mv "$tmp" "$CACHE/$kernel"
}

fetch_locked() {
	mkdir -p "$CACHE"
	(
		flock 9
		fetch_kernel "$1"
	) 9>"$CACHE/lock"
}

#
# The initramfs
#

# add_libraries ROOT FILE: what the dynamic linker would load, and itself
add_libraries() {
	local lib
	if [ -n "$SYSROOT" ]; then
		add_foreign_libraries "$@"
		return
	fi
	ldd "$2" 2>/dev/null | grep -oE '/[^ ]+' | sort -u | while read -r lib; do
		mkdir -p "$1$(dirname "$lib")"
		cp -Lu "$lib" "$1$lib"
	done || true
}

# needed_by FILE: names of the libraries, and of the dynamic linker
needed_by() {
	{
		readelf -l "$1" | sed -n 's/.*program interpreter: .*\/\(.*\)\]/\1/p'
		readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'
	} 2>/dev/null || true # a script is no ELF file
}

# add_foreign_libraries ROOT FILE: the same where ldd cannot run it
add_foreign_libraries() {
	local name lib
	needed_by "$2" | while read -r name; do
		[ ! -e "$1/lib/$name" ] || continue
		lib=$(find "$SYSROOT/usr/lib" -maxdepth 2 -name "$name" -print -quit)
		[ -n "$lib" ] || die "$2 needs $name, which is not in $SYSROOT"
		mkdir -p "$1/lib"
		cp -L "$lib" "$1/lib/$name"
		add_foreign_libraries "$1" "$lib"
	done
}

# source_of PATH: where it is for the guest's architecture
source_of() {
	case $1 in
	/*) echo "$SYSROOT$1" ;;
	"$BUILT"/*) echo "$BUILT${SYSROOT:+/$ARCH}/${1#"$BUILT"/}" ;;
	*) echo "$1" ;;
	esac
}

# add_path ROOT PATH: relative paths stand under /work in the guest
add_path() {
	local root=$1 path=$2 dest file from
	case $path in
	/*) dest=$root$path ;;
	*..*) die "$path: name it from its own directory upwards, without .." ;;
	*) dest=$root/work/$path ;;
	esac
	from=$(source_of "$path")
	mkdir -p "$(dirname "$dest")"
	cp -a --dereference "$from" "$(dirname "$dest")/"
	find -L "$from" -type f -perm /111 | while read -r file; do
		add_libraries "$root" "$file"
	done
}

# add_modules ROOT KERNEL: in loading order, decompressed
add_modules() {
	local root=$1 dir=$CACHE/$2 release name kind path n=100
	release=$(cat "$dir/release")
	mkdir -p "$root/modules"
	for name in ${MODULES//,/ }; do
		modprobe -d "$dir" -S "$release" --show-depends "$name" ||
			die "kernel $2 has no module $name"
	done | while read -r kind path _; do
		[ "$kind" = insmod ] || continue
		n=$((n + 1))
		name=$(basename "${path%.xz}")
		ls "$root/modules/"*"-$name" >/dev/null 2>&1 && continue
		case $path in
		*.xz) xz -dc "$path" >"$root/modules/$n-$name" ;;
		*) cp "$path" "$root/modules/$n-$name" ;;
		esac
	done
}

# write_init ROOT
write_init() {
	local out=ttyS1 rc=ttyS2
	[ "$ARCH" != arm64 ] || out=ttyS0 rc=ttyS1
	cat >"$1/init" <<-EOF
		#!/bin/busybox sh
		out=/dev/$out rc=/dev/$rc
	EOF
	cat >>"$1/init" <<-'EOF'
		/bin/busybox --install -s /bin
		export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/root LC_ALL=C.UTF-8
		mount -t proc proc /proc
		mount -t sysfs sysfs /sys
		mount -t devtmpfs dev /dev
		mkdir -p /tmp /run /root /dev/pts /dev/shm
		mount -t devpts devpts /dev/pts
		mount -t tmpfs tmpfs /tmp
		mount -t tmpfs tmpfs /run
		mount -t tmpfs tmpfs /dev/shm
		mount -t tracefs tracefs /sys/kernel/tracing
		mount -t debugfs debugfs /sys/kernel/debug
		mount -t securityfs securityfs /sys/kernel/security
		mount -t bpf bpf /sys/fs/bpf
		mount -t cgroup2 cgroup2 /sys/fs/cgroup
		ln -s /proc/self/fd /dev/fd 2>/dev/null
		ip link set lo up
		for m in /modules/*.ko; do [ -e "$m" ] && insmod "$m"; done
		stty -F $out raw
		stty -F $rc raw
		cd /work
		. /command >$out 2>&1
		echo "$?" >$rc
		poweroff -f
	EOF
	chmod +x "$1/init"
}

# build_initramfs KERNEL OUT COMMAND…
build_initramfs() {
	local kernel=$1 out=$2 root
	shift 2
	root=$(mktemp -d "$SCRATCH/root.XXXXXX")
	mkdir -p "$root"/{bin,dev,proc,sys,etc,work}
	cp "$(source_of "$(command -v busybox)")" "$root/bin/busybox"
	local path
	for path in "${FILES[@]}"; do
		add_path "$root" "$path"
	done
	add_modules "$root" "$kernel"
	write_init "$root"
	echo "root:x:0:0:root:/root:/bin/sh" >"$root/etc/passwd"
	echo "root:x:0:" >"$root/etc/group"
	{
		echo "export KERNEL=$kernel"
		# shellcheck disable=SC2016 # expanded by the guest's shell
		echo 'set -- '"$(quote "$@")"'; "$@" </dev/null'
	} >"$root/command"
	(cd "$root" && find . | cpio --quiet -R 0:0 -o -H newc) >"$out"
	rm -rf "$root"
}

# Quoted for any POSIX shell: printf %q may write $'…', which busybox need not know.
quote() {
	local word
	for word; do
		printf "'%s' " "${word//\'/\'\\\'\'}"
	done
}

#
# Running
#

# One thread for both processors: with a thread for each, QEMU 7.2 sometimes corrupts the
# kernel's timers, and the guest panics: 7.3 in enqueue_timer at 1.07 s of its boot. With one
# it still corrupts the flags of cmpxchg16b now and then, and 6.12 panics: so there is none. But
# without it 7.x has no kmalloc_nolock(), and so nothing to keep a socket's storage in; it boots.
# no_timer_check: a busy host makes the timer of the emulated IO-APIC look broken.
boot() {
	local kernel=$1 initrd=$2 console=ttyS0 cpu=max,-cx16
	case $kernel in 7.*) cpu=max ;; esac
	local -a machine=(-M q35 -cpu "$cpu" -serial "file:$SCRATCH/console"
		-serial "file:$SCRATCH/out" -serial "file:$SCRATCH/rc")
	if [ "$ARCH" = arm64 ]; then
		console=ttyAMA0
		machine=(-M virt -cpu cortex-a72 -serial "file:$SCRATCH/console"
			-chardev "file,id=out,path=$SCRATCH/out" -device "pci-serial,chardev=out"
			-chardev "file,id=rc,path=$SCRATCH/rc" -device "pci-serial,chardev=rc")
	fi
	timeout -k 5 "$TIMEOUT_S" "$(qemu_of "$kernel")" "${machine[@]}" \
		-accel tcg,thread=single -smp 2 -m "$MEMORY_MB" \
		-nodefaults -no-user-config -display none -no-reboot \
		-kernel "$CACHE/$kernel/vmlinuz" -initrd "$initrd" \
		-append "console=$console panic=-1 quiet no_timer_check mitigations=off 8250.nr_uarts=4 $APPEND" \
		</dev/null >"$SCRATCH/qemu" 2>&1
}

# panicked: the guest's kernel died and the command gave no result. A program that the verifier let
# in cannot do that; what was seen was the emulation (see boot), so it is said and tried again.
panicked() {
	[ ! -s "$SCRATCH/rc" ] && grep -q 'Kernel panic' "$SCRATCH/console"
}

# show_console: the last words of QEMU and of the guest's kernel, from its first complaint on
show_console() {
	{
		tail -n 5 "$SCRATCH/qemu"
		grep -nE -m 1 'BUG:|Oops|general protection|kernel BUG|Kernel panic' "$SCRATCH/console" |
			cut -d: -f1 | xargs -I{} tail -n +{} "$SCRATCH/console" | head -n 60
	} | sed 's/^/#   /'
}

# boot_and_show KERNEL INITRD: what the guest says, as it says it
boot_and_show() {
	local pid file
	for file in out rc console; do : >"$SCRATCH/$file"; done
	boot "$@" &
	pid=$!
	tail -n +1 -s 0.2 -f --pid=$pid "$SCRATCH/out" | sed -u 's/^/    /'
	wait $pid || true
}

# boot_until_it_lives KERNEL INITRD
boot_until_it_lives() {
	local try
	for try in 1 2 3; do
		boot_and_show "$@"
		panicked || return 0
		echo "# boot $try: the kernel panicked"
		show_console
	done
}

# count_results RC: the guest's lines as one line "passed failed skipped"
count_results() {
	awk -v rc="$1" '
		/^ok .*# SKIP/ { skipped++; next }
		/^ok / { passed++ }
		/^not ok / { failed++ }
		END {
			if (rc == "" || (rc != 0 && rc != 77 && !failed)) failed++
			print passed + 0, failed + 0, skipped + 0
		}' "$SCRATCH/out" >"$SCRATCH/count"
}

# run_kernel N KERNEL COMMAND…: print a subtest, return the command's status
run_kernel() {
	local n=$1 kernel=$2 rc start=$SECONDS name
	shift 2
	name="$kernel ($(cat "$CACHE/$kernel/release"))"
	SCRATCH=$SCRATCH/$kernel ARCH=$(arch_of "$kernel") SYSROOT=$(sysroot_of "$kernel")
	mkdir "$SCRATCH"
	build_initramfs "$kernel" "$SCRATCH/initrd" "$@"

	echo "# Subtest: kernel $name"
	boot_until_it_lives "$kernel" "$SCRATCH/initrd"
	rm "$SCRATCH/initrd"

	rc=$(tr -cd 0-9 <"$SCRATCH/rc")
	count_results "$rc"
	case $rc in
	0) echo "ok $n - kernel $name # $((SECONDS - start)) s" ;;
	77) echo "ok $n - kernel $name # SKIP" ;;
	'')
		echo "# $name: no result; the limit is $TIMEOUT_S s"
		echo "not ok $n - kernel $name # no result after $((SECONDS - start)) s"
		panicked || tail -n 40 "$SCRATCH/qemu" "$SCRATCH/console" | sed 's/^/#   /'
		rc=124
		;;
	*) echo "not ok $n - kernel $name # exit $rc" ;;
	esac
	return "$rc"
}

# worst_of RC…: 0 if all passed or were skipped, 77 if all were skipped
worst_of() {
	local rc worst=0 ran=
	for rc; do
		[ "$rc" = 77 ] || ran=yes
		[ "$rc" = 0 ] || [ "$rc" = 77 ] || worst=$rc
	done
	[ -n "$ran" ] || worst=77
	[ $# = 1 ] || [ "$worst" = 0 ] || [ "$worst" = 77 ] || [ "$worst" = 124 ] || worst=1
	echo "$worst"
}

# start_kernels COMMAND…: each in the background, $JOBS at a time; what it says is in $SCRATCH/N.said,
# its status, once it ended, in $SCRATCH/N.rc
start_kernels() {
	local kernel n=0
	for kernel in ${KERNELS//,/ }; do
		n=$((n + 1))
		while [ "$(jobs -rp | wc -l)" -ge "$JOBS" ]; do wait -n || true; done
		(
			set +e # a call in a condition would switch -e off inside of it
			(set -e && run_kernel "$n" "$kernel" "$@") >"$SCRATCH/$n.said"
			echo $? >"$SCRATCH/$n.rc.tmp"
			mv "$SCRATCH/$n.rc.tmp" "$SCRATCH/$n.rc"
		) &
	done
	wait
}

# run_all COMMAND…: says each kernel's result, in order, as soon as it and those before it are there
run_all() {
	local kernel n=0 codes=() worst

	echo "TAP version 14"
	echo "1..$(tr , '\n' <<<"$KERNELS" | wc -l)"
	start_kernels "$@" &
	for kernel in ${KERNELS//,/ }; do
		n=$((n + 1))
		until [ -e "$SCRATCH/$n.rc" ]; do sleep 0.2; done
		cat "$SCRATCH/$n.said"
		codes+=("$(cat "$SCRATCH/$n.rc")")
	done
	awk '{ p += $1; f += $2; s += $3 }
		END { printf "%d passed, %d failed, %d skipped\n", p, f, s }' "$SCRATCH"/*/count
	worst=$(worst_of "${codes[@]}")
	return "$worst"
}

check_needs() {
	local tool missing='' kernel
	PATH=$PATH:/usr/sbin:/sbin
	for kernel in ${KERNELS//,/ }; do
		NEEDS="$NEEDS $(qemu_of "$kernel")"
	done
	for tool in $NEEDS; do
		command -v "$tool" >/dev/null || missing="$missing $tool"
	done
	[ -z "$missing" ] || die "missing:$missing (see the packages at the top of this script)"
	[ -e "$KEYRING" ] || die "missing: $KEYRING (package debian-archive-keyring)"
}

main() {
	local opt only_fetch='' kernel word
	while getopts k:f:x:m:a:t:M:j:ph opt; do
		case $opt in
		k) KERNELS=$OPTARG ;;
		f) FILES+=("$OPTARG") ;;
		x) BUILT=${OPTARG%/} ;;
		m) MODULES=$OPTARG ;;
		a) APPEND=$OPTARG ;;
		t) TIMEOUT_S=$OPTARG ;;
		M) MEMORY_MB=$OPTARG ;;
		j) JOBS=$OPTARG ;;
		p) only_fetch=yes ;;
		h) usage && exit 0 ;;
		*) usage >&2 && exit 125 ;;
		esac
	done
	shift $((OPTIND - 1))
	[ $# -gt 0 ] || [ -n "$only_fetch" ] || { usage >&2 && exit 125; }

	check_needs
	for kernel in ${KERNELS//,/ }; do
		fetch_locked "$kernel"
	done
	[ -z "$only_fetch" ] || exit 0

	for word; do
		case $word in
		/*) [ ! -f "$word" ] || FILES+=("$word") ;;
		*) [ ! -e "$word" ] || FILES+=("$word") ;;
		esac
	done
	SCRATCH=$(mktemp -d)
	trap 'rm -rf "$SCRATCH"' EXIT
	run_all "$@"
}

main "$@"
