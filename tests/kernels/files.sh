#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# files.sh - everything that happens to a log file (tests/triggers/files.c), all at the same time,
# watched by the observer on each rung this kernel has: it is stopped while files are rotated, killed
# while logrotate runs twice, and started again. The API is never there. For scripts/kernel-test.sh:
# busybox, no Python.
#
# Usage: files.sh OBSERVER WAYS RUNG... : RUNG is fexit, sys_exit or inotify
# Prints a line "ok …" or "not ok …" per rung and situation.
OBSERVER=$1
WAYS=$2
shift 2
PORT=${PORT:-8080}
LIMIT_S=90
# shellcheck source=tests/kernels/lib.sh
. "$(dirname "$0")/lib.sh"
base=${BASE:-/tmp}
[ ! -d /ext4 ] || base=/ext4 # tmpfs uses no inode number again
far=
[ ! -d /overlay2 ] || far=/overlay2 # where stat's device is not the kernel's


configure() {
    cat >"$dir/config.yaml" <<EOF
node_id: guest
state_dir: $dir/state
forward: all
api_endpoint: http://127.0.0.1:9/gone
log_files: ["$dir/logs/*/*.log", "$dir/logs/*/*/*.log"]
targets:
  builtin: false
  include:
    command: ["*files $dir/logs*"]
server:
  listen: "127.0.0.1:$PORT"
limits:
  line_bytes: 65536
probes:
  file_write: $rung
EOF
    for name in rot_create rot_create_gz rot_copy rot_copy_gz far_rot_create far_rot_copy; do
        echo "$dir/logs/$name/app.log {"
        echo "su root root"
        echo "rotate 5"
        case $name in *copy*) echo copytruncate ;; *) echo "create 644 root root" ;; esac
        case $name in *_gz) echo compress ;; esac
        echo "}"
    done >"$dir/logrotate.conf"
    chmod 644 "$dir/logrotate.conf"
}

start_observer() {
    # without its end of the pipe, the node would not end
    "$OBSERVER" run -c "$dir/config.yaml" >>"$dir/log" 2>&1 3>&- 4<&- &
    observer=$!
    wait_for is_up && wait_for has_nodes 1
}

tell() { # PHASE
    echo "$1" >&3
    read -r answer <&4
    [ "$answer" = "done $1" ] || say "not ok" "$1: $answer"
}

rotate() {
    /usr/sbin/logrotate -f -s "$dir/logrotate.state" "$dir/logrotate.conf" >>"$dir/log" 2>&1 ||
        say "not ok" "logrotate: exit status $?"
}

check() {
    "$OBSERVER" events --state-dir "$dir/state" --all >"$dir/events" 2>>"$dir/log" &&
        "$WAYS" files-check "$dir/logs" "$dir/events" >"$dir/checked"
}

# all that was written so far is there
settled() { # PHASE; the first that is not told is told of here, what is missing by report
    [ -z "$late" ] || return 0
    wait_for check && return 0
    late=$1
    sed "s/^/# $1: /" "$dir/checked"
}

report() {
    check
    while read -r line; do
        case $line in
        'ok '*) say ok "${line#ok }" ;;
        'not ok '*) say "not ok" "${line#not ok }" ;;
        *) echo "# $line" ;;
        esac
    done <"$dir/checked"
    [ -z "$late" ] || say "not ok" "all is there in time, which it was not when $late"
}

# cut_long's write of 10,000 bytes, of which 4,000 were captured: without a probe nobody knew of it
lost_is() { # REASON BYTES
    [ "$(metric "gswarm_lost_bytes_total{reason=\"$1\"}")" = "$2" ]
}

check_lost() {
    cut=6000
    [ "$rung" != inotify ] || cut=0
    if wait_for lost_is truncated "$cut" && lost_is unreadable 0; then
        say ok "lost is what was cut off: $cut bytes"
    else
        say "not ok" "lost: $(metric 'gswarm_lost_bytes_total.*' | tr '\n' ' ')bytes, not $cut"
    fi
}

play() {
    tell first
    settled first
    kill -STOP "$observer"
    tell paused
    kill -CONT "$observer"
    tell resumed
    settled resumed
    check_lost
    kill -KILL "$observer"
    wait "$observer" 2>/dev/null
    tell away1
    rotate
    tell away2
    rotate
    tell away3
    start_observer
    settled away3
    tell back
    settled back
    tell gone
    exec 3>&- 4<&-
    settled gone
    sleep 2 # what comes twice comes with the next sweep
    report
}

run_rung() {
    rung=$1 late=
    dir=$base/files-$rung
    mkdir -p "$dir/logs" ${far:+"$far/files-$rung"}
    configure
    mkfifo "$dir/in" "$dir/out"
    looks=
    [ "$rung" != inotify ] || looks=looks
    # shellcheck disable=SC2086 # empty = no argument
    "$WAYS" files "$dir/logs" $looks ${far:+far "$far/files-$rung"} <"$dir/in" >"$dir/out" &
    exec 3>"$dir/in" 4<"$dir/out"
    tell before
    if start_observer; then
        play
    else
        say "not ok" "the observer does not find the node"
    fi
    kill "$observer"
    if wait "$observer"; then
        say ok "the observer ends"
    else
        say "not ok" "the observer's exit status"
    fi
    [ "$bad" = 0 ] || cat "$dir/log"
    for m in disk_full/m copied_up/m bound/b; do umount "$dir/logs/$m"; done
    for m in ${far:+"$far/files-$rung"/*}; do umount "$dir/logs/${m##*/}"; done
    [ -n "$KEEP" ] || rm -rf "$dir" ${far:+"$far/files-$rung"}
}

for r; do
    run_rung "$r"
done
[ "$bad" = 0 ]
