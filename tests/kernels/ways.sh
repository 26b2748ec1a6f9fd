#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# ways.sh - every way to write (tests/triggers), watched by the observer on each rung this kernel
# has. For scripts/kernel-test.sh: busybox, no Python.
#
# Usage: ways.sh OBSERVER WAYS RUNG... : RUNG is fexit, sys_exit or inotify
# Prints a line "ok …" or "not ok …" per rung and way.
#
# A preemptible kernel may skip a run of a program (observe/missed.h), an emulated one now and then
# does: a fork that nobody told of writes unseen. The observer says so, and then the rung is tried
# again.
OBSERVER=$1
WAYS=$2
shift 2
PORT=8080
LIMIT_S=60
# shellcheck source=tests/kernels/lib.sh
. "$(dirname "$0")/lib.sh"
base=/tmp
# The ways that this kernel and file system may lack. What else is absent, nobody would have seen.
allowed=
if [ -d /ext4 ]; then
    base=/ext4
else
    case $(uname -r) in # tmpfs has no O_DIRECT before 6.6
    [1-5].* | 6.[0-5].*) allowed="direct aio-direct uring-direct" ;;
    esac
fi

start_observer() {
    cat >"$dir/config.yaml" <<EOF
node_id: guest
state_dir: $dir/state
forward: all
initial_tail_lines: 0
log_files: [$([ "$rung" = inotify ] && echo "\"$dir/logs/*.log\"")]
targets:
  builtin: false
  include:
    command: ["*run $dir/logs*"]
server:
  listen: "127.0.0.1:$PORT"
probes:
  file_write: $rung
EOF
    "$OBSERVER" run -c "$dir/config.yaml" >"$dir/log" 2>&1 &
    observer=$!
    wait_for is_up
}

tell() { # COMMAND
    echo "$1" >&3
    read -r answer <&4
    case $answer in
    done*) ;;
    *) say "not ok" "$1: $answer" ;;
    esac
    for absent in ${answer#*not here:}; do
        case " $allowed " in
        *" $absent "*) ;;
        *) say "not ok" "$absent cannot be done here" ;;
        esac
    done
}

store() {
    "$OBSERVER" events --state-dir "$dir/state" --all >"$dir/events" 2>>"$dir/log"
}

check() { # ARG...
    store && "$WAYS" check "$dir/logs" "$dir/events" "$@" >"$dir/checked"
}

report() {
    while read -r line; do
        case $line in
        'ok '*) say ok "${line#ok }" ;;
        'not ok '*) say "not ok" "${line#not ok }" ;;
        *) echo "# $line" ;;
        esac
    done <"$dir/checked"
}

has_rewrites() { # N
    store && [ "$(grep -c '"event":"rewrite"' "$dir/events")" -ge 1 ] &&
        [ "$(metric gswarm_rewrites_total)" = "$1" ]
}

check_rung() {
    caught=-c
    [ "$rung" != inotify ] || caught=
    tell told
    tell found
    # shellcheck disable=SC2086 # empty = no argument
    wait_for check $caught
    tell rewrite-middle
    rewrites=1
    if [ "$rung" != inotify ]; then # which takes it for another file's end
        tell rewrite-end
        rewrites=2
    fi
    if wait_for has_rewrites "$rewrites"; then
        say ok "rewrites are told of"
    else
        say "not ok" "rewrites are not told of: $(metric gswarm_rewrites_total)"
        grep '"event":"rewrite"' "$dir/events" | sed 's/^/# /'
    fi
    # shellcheck disable=SC2086
    check $caught
    report
    [ "$base" = /ext4 ] && [ "$rung" != inotify ] || return 0
    if metric 'gswarm_ring_drops_total{cpu="[0-9]*",reason="fault"}' | grep -q '[1-9]'; then
        say ok "buffers that are gone when the call returns are counted"
    else
        echo "# $rung: no buffer was gone when its call returned" # it is a race; on the host a test wins it
    fi
}

run_rung() {
    rung=$1
    dir=$base/$rung
    mkdir -p "$dir/logs"
    if ! start_observer; then
        say "not ok" "the observer does not start"
        cat "$dir/log"
        return
    fi
    sed -n '/file writes/,/console writes/s/^/# /p' "$dir/log"
    mkfifo "$dir/in" "$dir/out"
    "$WAYS" run "$dir/logs" <"$dir/in" >"$dir/out" &
    exec 3>"$dir/in" 4<"$dir/out"
    if [ "$rung" = inotify ] || wait_for has_nodes 1; then
        check_rung
    else
        say "not ok" "the node is not found"
    fi
    exec 3>&- 4<&-
    kill "$observer"
    if wait "$observer"; then
        say ok "the observer ends"
    else
        say "not ok" "the observer's exit status"
        cat "$dir/log"
    fi
    grep 'the kernel skipped' "$dir/log" >"$base/skipped" || rm -f "$base/skipped"
    rm -rf "$dir"
}

# try_rung RUNG: its lines, once they are final
try_rung() {
    for try in 1 2 3; do
        bad=0
        run_rung "$1" >"$base/said"
        if [ "$bad" = 0 ] || [ "$try" = 3 ] || [ ! -s "$base/skipped" ]; then
            break
        fi
        echo "# $1, try $try: $(cat "$base/skipped"); $(grep '^not ok' "$base/said")" | tr '\n' ';'
        echo
    done
    cat "$base/said"
    worst=$((worst | bad))
}

worst=0
for r; do
    try_rung "$r"
done
[ "$worst" = 0 ]
