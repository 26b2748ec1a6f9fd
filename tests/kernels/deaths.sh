#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# deaths.sh - how processes of a node end, on this kernel: a cgroup's limit, no memory left in the
# whole machine, kill -9, a segfault.
# For scripts/kernel-test.sh: busybox, no Python.
#
# Usage: deaths.sh OBSERVER NODE
# Prints a line "ok …" or "not ok …" per end.
# shellcheck disable=SC2317 # called by wait_for
OBSERVER=$1
NODE=$2
LIMIT_S=60
# shellcheck source=tests/kernels/lib.sh
. "$(dirname "$0")/lib.sh"

events() { "$OBSERVER" events --state-dir "$dir/state" --all 2>/dev/null; }
is_up() { grep -q '^  nodes' "$dir/log"; }
# the trainer's end, with each of the words
told() {
    line=$(events | grep '"role":"trainer"' | grep '"node_lives_on"')
    [ -n "$line" ] || return 1
    for word in "$@"; do
        case $line in *"$word"*) ;; *) return 1 ;; esac
    done
}
# the first of its command line; the second is its fork, the DHT process
trainer() { grep -l swarm_launcher /proc/[0-9]*/cmdline 2>/dev/null | cut -d / -f 3 | sort -n | head -n 1; }
has_read() { events | grep -q '"round":7'; }
has_trainer() { [ -n "$(trainer)" ]; }

# try NAME SCRIPT WORD... : the trainer plays SCRIPT; its end must be told with the words
try() {
    name=$1 script=$2
    shift 2
    dir=$(mktemp -d /tmp/deaths.XXXXXX)
    cat >"$dir/config.yaml" <<EOF
node_id: guest
state_dir: $dir/state
targets:
  builtin: false
  include:
    command: ["*$dir/home*"]
server:
  listen: "127.0.0.1:8080"
EOF
    "$OBSERVER" run -c "$dir/config.yaml" >"$dir/log" 2>&1 &
    observer=$!
    wait_for is_up
    mkdir "/sys/fs/cgroup/$name"
    [ "$name" = host ] || echo 64M >"/sys/fs/cgroup/$name/memory.max"
    echo 0 >"/sys/fs/cgroup/$name/memory.swap.max" 2>/dev/null
    (
        echo 0 >"/sys/fs/cgroup/$name/cgroup.procs"
        exec "$NODE" --dir "$dir/home" --hold --stay --script "$script" >"$dir/console" 2>&1
    ) &
    node=$!
    wait_for has_trainer
    [ "$name" != kill ] || { wait_for has_read && kill -9 "$(trainer)"; }
    if wait_for told "$@"; then
        echo "ok $name"
    else
        echo "not ok $name"
        events
        cat "$dir/log"
        free -m
        dmesg | tail -n 20
        bad=1
    fi
    kill -9 "$node" "$(trainer)" 2>/dev/null
    kill "$observer"
    wait "$observer" 2>/dev/null
}

log='file 0 [2025-09-25 17:35:18,616][genrl.logging_utils.global_defs][INFO] - hello'
# as much as there is: more would be refused before anything is out of memory
all=$(awk '/^MemTotal:/ { print int($2 / 1024) - 16 }' /proc/meminfo)
echo '+memory' >/sys/fs/cgroup/cgroup.subtree_control
try limit "$log
file 2000 $log
eat 200" '"oom_killed"' '"limit_bytes":67108864' '"limit_of":"limit"' '"signal":9'
try host "$log
file 2000 $log
eat $all" '"oom_killed"' '"oom":"host"' '"limit_of":"host"' '"signal":9' '"rss_bytes":' 'ran out of memory' '"advice"'
# it goes on writing: the kernel may skip a run of the program, and what is read back has no writer
round="${log%hello}Joining round: 7"
try kill "$round
$(yes "file 200 ${round#file 0 }" | head -n 100)" '"trainer_gone"' '"signal":9' '"sender_comm"' 'round: 7'
try segfault "$log
file 2000 $log
crash 11" '"crashed"' '"signal":11'
try exit "$log
file 2000 $log
exit 3" '"crashed"' '"exit_code":3'
exit $bad
