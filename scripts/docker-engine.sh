#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# docker-engine.sh - a private Docker engine, for tests and the demo.
#
# Its own containerd, data, sockets and pid files in one temporary directory; no bridge, no
# iptables rules: containers run with --network none. A Docker that was there before is not
# touched. What an earlier run left behind (its owner was killed) is removed at start.
set -euo pipefail

PREFIX=${TMPDIR:-/tmp}/gso-docker.

usage() {
    cat <<'END'
usage: docker-engine.sh start [OWNER_PID]      print the engine's directory; its socket is DIR/docker.sock
       docker-engine.sh image SOCKET NODE      import NODE (the static look-alike) as gswarm/node:test
       docker-engine.sh stop DIR               end it and everything in it, remove DIR
       docker-engine.sh run-with COMMAND...    start, run COMMAND with DOCKER_HOST and DOCKER_SOCKET, stop
Needs root, dockerd, containerd, runc.
END
}

fail() {
    printf 'docker-engine: %s\n' "$*" >&2
    exit 1
}

dk() { docker -H "unix://$1/docker.sock" "${@:2}"; }

# Pids of all processes of the engine in $1: its daemons and shims name the directory.
engine_pids() {
    local p args
    for p in /proc/[0-9]*; do
        args=$(tr '\0' ' ' 2>/dev/null <"$p/cmdline") || continue
        case $args in
        dockerd\ *"$1/"* | containerd\ *"$1/"* | */containerd-shim*"$1/"* | *runc\ *"$1/"*)
            echo "${p#/proc/}"
            ;;
        esac
    done
}

wait_gone() { # SECONDS PID
    local end=$((SECONDS + $1))
    # one that nobody has reaped yet is gone too
    while grep -qs '^State:[[:space:]][^ZX]' "/proc/$2/status"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.05
    done
}

stop_pidfile() {
    local pid
    pid=$(cat "$1" 2>/dev/null) || return 0
    kill -TERM "$pid" 2>/dev/null || return 0
    wait_gone 15 "$pid" || kill -KILL "$pid" 2>/dev/null || true
}

# The processes of containers whose shim was killed.
kill_containers() {
    local id pid
    for id in "$1"/data/containers/*; do
        id=${id##*/}
        cat "/sys/fs/cgroup/"{,pids/,unified/}"docker/$id/cgroup.procs" 2>/dev/null | sort -u |
            while read -r pid; do
                kill -KILL "$pid" 2>/dev/null || true
            done
    done
}

# What dockerd and runc make outside of the directory; only if nobody had it before.
remove_traces() {
    local id cg
    [ -e "$1/had-run" ] || rmdir /run/docker/plugins /run/docker 2>/dev/null || true
    for id in "$1"/data/containers/*; do
        for cg in "/sys/fs/cgroup/docker/${id##*/}" /sys/fs/cgroup/*/"docker/${id##*/}"; do
            [ ! -d "$cg" ] || rmdir "$cg" 2>/dev/null || true
        done
    done
    [ -e "$1/had-cgroup" ] && return
    for cg in /sys/fs/cgroup/docker /sys/fs/cgroup/*/docker; do
        [ ! -d "$cg" ] || rmdir "$cg" 2>/dev/null || true # fails where another has children
    done
}

# In a subshell without -e: each step is taken, whatever the one before it met.
stop() (
    set +e
    dir=$1
    case $dir in
    "$PREFIX"*) ;;
    *) fail "not an engine's directory: $dir" ;;
    esac
    [ -d "$dir" ] || return 0
    if [ -S "$dir/docker.sock" ]; then
        dk "$dir" ps -aq 2>/dev/null | xargs -r docker -H "unix://$dir/docker.sock" rm -f \
            >/dev/null 2>&1 || true
    fi
    stop_pidfile "$dir/docker.pid"
    stop_pidfile "$dir/containerd.pid"
    kill_containers "$dir"
    for pid in $(engine_pids "$dir"); do
        kill -KILL "$pid" 2>/dev/null || true
        wait_gone 5 "$pid" || true
    done
    # Deepest first. Names hold no blanks: mktemp and Docker chose them.
    awk -v d="$dir/" 'index($5, d) == 1 { print length($5), $5 }' /proc/self/mountinfo |
        sort -rn | while read -r _ mount; do
        umount -l "$mount" 2>/dev/null || true
    done
    remove_traces "$dir"
    for _ in 1 2 3 4; do
        rm -rf --one-file-system "$dir" 2>/dev/null && return 0
        sleep 0.5
    done
    fail "could not remove $dir"
)

# Engines whose owner is gone.
sweep() {
    local dir owner
    for dir in "$PREFIX"*; do
        [ -e "$dir/owner" ] || continue
        owner=$(cat "$dir/owner")
        kill -0 "$owner" 2>/dev/null || stop "$dir"
    done
}

start_daemons() {
    local dir=$1
    mkdir -p "$dir/containerd" "$dir/exec"
    cat >"$dir/containerd.toml" <<END
version = 2
root = "$dir/containerd/root"
state = "$dir/containerd/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "$dir/containerd.sock"
END
    # Own sessions: Ctrl-C at the terminal is for the one who stops us, not for them.
    setsid containerd --config "$dir/containerd.toml" >"$dir/containerd.log" 2>&1 </dev/null &
    echo $! >"$dir/containerd.pid"
    setsid dockerd --data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$dir/docker.pid" \
        -H "unix://$dir/docker.sock" --containerd "$dir/containerd.sock" \
        --bridge=none --iptables=false --ip-forward=false --ip-masq=false \
        --exec-opt native.cgroupdriver=cgroupfs --shutdown-timeout 3 \
        >"$dir/docker.log" 2>&1 </dev/null &
    echo $! >"$dir/docker.started"
}

wait_ready() {
    local dir=$1 pid i
    pid=$(cat "$dir/docker.started")
    for ((i = 0; i < 600; i++)); do
        if [ -S "$dir/docker.sock" ] && dk "$dir" version >/dev/null 2>&1; then
            return
        fi
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.05
    done
    grep -m3 -E 'level=(fatal|error)|failed' "$dir/docker.log" >&2 || tail -n 3 "$dir/docker.log" >&2
    return 1
}

start() {
    local owner=$1 dir cg
    [ "$(id -u)" = 0 ] || fail "needs root"
    for cg in dockerd docker containerd runc setsid; do
        command -v "$cg" >/dev/null || fail "$cg is not installed"
    done
    sweep
    dir=$(mktemp -d "${PREFIX}XXXXXX")
    trap 'stop "$dir"' EXIT
    echo "$owner" >"$dir/owner"
    for cg in /sys/fs/cgroup/docker /sys/fs/cgroup/*/docker; do
        [ ! -d "$cg" ] || : >"$dir/had-cgroup"
    done
    [ ! -d /run/docker ] || : >"$dir/had-run"
    start_daemons "$dir"
    wait_ready "$dir" || fail "the engine does not start"
    trap - EXIT
    echo "$dir"
}

# Import the look-alike and the scenarios into the engine at socket $1. Needs no root: the files'
# owners stand in the archive only.
image() {
    local socket=$1 node=$2 tmp root tool
    tmp=$(mktemp -d "${TMPDIR:-/tmp}/gso-image.XXXXXX")
    # shellcheck disable=SC2064 # the value now
    trap "rm -rf '$tmp'" EXIT
    root=$tmp/root
    mkdir -p "$root/bin" "$root/etc" "$root/home/gensyn/rl_swarm" "$root/tmp" "$root/scenarios"
    cp "$node" "$root/node"
    cp "$(dirname "$0")"/../tests/data/scenario-*.txt "$root/scenarios"
    if [ -x /bin/busybox ]; then
        cp /bin/busybox "$root/bin/"
        for tool in sh ls cat ps kill touch mv rm sleep; do ln -s busybox "$root/bin/$tool"; done
    fi
    echo 'gensyn:x:1001:1001::/home/gensyn:/bin/sh' >"$root/etc/passwd"
    chmod 1777 "$root/tmp"
    tar -C "$root" --numeric-owner --owner=0 --group=0 -cf "$tmp/image.tar" \
        node bin etc tmp scenarios
    tar -C "$root" --numeric-owner --owner=1001 --group=1001 -rf "$tmp/image.tar" home/gensyn
    docker -H "unix://$socket" import \
        --change 'ENTRYPOINT ["/node"]' --change 'WORKDIR /home/gensyn/rl_swarm' \
        --change 'USER 1001:1001' --change 'ENV PATH=/bin' \
        "$tmp/image.tar" gswarm/node:test >/dev/null
}

run_with() {
    local rc=0
    DIR=$(start $$)
    trap 'stop "$DIR"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    DOCKER_HOST=unix://$DIR/docker.sock DOCKER_SOCKET=$DIR/docker.sock "$@" || rc=$?
    exit "$rc"
}

case ${1:-} in
start) start "${2:-$PPID}" ;;
image) image "$2" "$3" ;;
stop) stop "$2" ;;
run-with)
    shift
    run_with "$@"
    ;;
*)
    usage
    [ "${1:-}" = --help ] || exit 2
    ;;
esac
