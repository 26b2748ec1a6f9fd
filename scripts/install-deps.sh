#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# install-deps.sh [build|test|kernels|bench|lint|fuzz|coverage|swarm|all]... - install what is
# missing of the Debian packages that a purpose needs (default: build). After --list: print the
# names of all that it needs instead.
#
# Silent and fast when nothing is missing. Package lists are fetched only when apt
# does not know a package or cannot download it. Uses sudo when not root.
# Exit status: 0 all there, 1 cannot be installed, 2 wrong use.
set -euo pipefail

purposes=(build test kernels lint bench fuzz coverage)

# "package" or "package:command": a command that does as well, wherever it is from.
declare -A packages=(
    [build]="gcc make clang llvm bpftool libbpf-dev libelf-dev zlib1g-dev
        libcurl4-openssl-dev libyaml-dev libcjson-dev libuv1-dev libsqlite3-dev
        libmicrohttpd-dev libpcre2-dev libzstd-dev libxxhash-dev libcap-dev uthash-dev
        pkg-config git"
    [test]="libcmocka-dev docker.io:dockerd busybox-static iproute2 iptables python3
        curl jq procps prometheus:promtool python3-pip:pip3 logrotate tmux screen
        btrfs-progs bsdutils:script npm:npm e2fsprogs strace"
    [kernels]="qemu-system-x86:qemu-system-x86_64 qemu-system-arm:qemu-system-aarch64 lld:ld.lld
        cpio busybox-static kmod xz-utils util-linux e2fsprogs logrotate binutils iproute2
        debian-archive-keyring"
    [lint]="clang-format clang-tidy shellcheck"
    [bench]="bpftrace strace syslog-ng-core:syslog-ng"
    [fuzz]="libclang-rt-14-dev"
    [coverage]="gcovr"
    [swarm]="python3-torch python3-venv"
)

declare -A meaning=(
    [build]="to build"
    [test]="to run the tests"
    [kernels]="for make test-kernels: other kernels, in virtual machines"
    [lint]="for make lint"
    [bench]="for make bench, to compare with"
    [fuzz]="for fuzzing and clang's sanitizers"
    [coverage]="for make coverage"
    [swarm]="for a swarm of real hivemind peers, in make test-long"
)

say() {
    printf 'install-deps: %s\n' "$*" >&2
}

usage() {
    printf 'usage: install-deps.sh [--list] [%s|all]...\n' "$(IFS='|' && echo "${purposes[*]}")" >&2
    exit 2
}

# The purposes that the arguments ask for, one a line.
wanted_purposes() {
    local arg
    for arg in "${@:-build}"; do
        if [[ $arg == all ]]; then
            printf '%s\n' "${purposes[@]}"
        elif [[ -v packages[$arg] ]]; then
            printf '%s\n' "$arg"
        else
            return 1
        fi
    done
}

# The packages of the given purposes that no command stands in for, one a line.
wanted_packages() {
    local purpose entry
    for purpose in "$@"; do
        for entry in ${packages[$purpose]}; do
            if [[ $entry == *:* ]] && PATH=$PATH:/usr/sbin command -v "${entry#*:}" >/dev/null; then
                continue
            fi
            printf '%s\n' "${entry%:*}"
        done
    done
}

# Those of the given packages that are not installed, one a line.
missing_packages() {
    if ! command -v dpkg-query >/dev/null; then
        printf '%s\n' "$@"
        return
    fi
    # comm wants both sides sorted the same way.
    comm -23 <(printf '%s\n' "$@" | LC_ALL=C sort -u) \
        <({ dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true; } |
            sed -n 's/^installed //p' | LC_ALL=C sort -u)
}

# Why nothing can be installed here, and what would be needed, by purpose.
give_up() {
    local reason=$1 purpose
    shift
    say "$reason"
    say "Needed are (names of Debian's packages):"
    for purpose in "$@"; do
        printf '  %s:\n' "${meaning[$purpose]}" >&2
        wanted_packages "$purpose" | fmt -w 72 | sed 's/^/    /' >&2
    done
    exit 1
}

as_root() {
    if [[ $(id -u) == 0 ]]; then
        "$@"
    else
        sudo "$@"
    fi
}

# apt knows a version of every one of the given packages.  (No grep -q: it would
# end before apt-cache does, which pipefail takes for a failure.)
apt_knows() {
    local package
    for package in "$@"; do
        apt-cache policy "$package" 2>/dev/null | grep '^  Candidate: [^(]' >/dev/null || return 1
    done
}

# Some packages (Docker, Prometheus) bring a service. Tests start their own, so that none is
# started behind the user's back: Debian's way to say so is a policy-rc.d that answers 101.
policy=/usr/sbin/policy-rc.d
no_services() {
    [[ ! -e $policy ]] || return 0
    trap 'as_root rm -f "$policy"' EXIT
    as_root sh -c "printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy"
}

# Only what went wrong is worth reading.
apt_install() {
    local output
    output=$(as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
        -o DPkg::Lock::Timeout=120 --no-install-recommends "$@" 2>&1) && return
    grep '^E:' <<<"$output" >&2 || printf '%s\n' "$output" >&2
    return 1
}

apt_update() {
    say "fetching package lists"
    as_root apt-get -o DPkg::Lock::Timeout=120 update -qq >&2
}

install_packages() {
    say "installing $*"
    if apt_knows "$@" && apt_install "$@"; then
        return
    fi
    # Unknown, or the lists are older than the archive.
    apt_update
    apt_install "$@"
}

main() {
    local -a asked wanted missing
    local list purpose
    [[ ${1:-} != -h && ${1:-} != --help ]] || usage
    if [[ ${1:-} == --list ]]; then
        for purpose in "${@:2}"; do
            [[ -v packages[$purpose] ]] || usage
            tr -s ' \t' '\n' <<<"${packages[$purpose]}" | sed 's/:.*//'
        done
        return
    fi
    list=$(wanted_purposes "$@") || usage
    mapfile -t asked <<<"$list"
    mapfile -t wanted < <(wanted_packages "${asked[@]}")
    mapfile -t missing < <(missing_packages "${wanted[@]}")
    [[ ${#missing[@]} -gt 0 ]] || return 0

    command -v apt-get >/dev/null ||
        give_up "there is no apt-get here; install what is missing by other means" "${asked[@]}"
    [[ $(id -u) == 0 ]] || command -v sudo >/dev/null ||
        give_up "neither root nor sudo: cannot install ${missing[*]}" "${asked[@]}"
    no_services
    install_packages "${missing[@]}" ||
        give_up "apt-get could not install ${missing[*]}" "${asked[@]}"
}

main "$@"
