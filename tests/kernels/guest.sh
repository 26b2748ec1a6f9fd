#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# guest.sh - all that runs inside one kernel: what docs/kernels.md says of its functions, then
# every way to write and everything that happens to a log file on every rung, consoles, what a
# process uses, the talk between a node and its p2pd, how processes end, whether each probe sees, connections on every rung, and UDP in a shared cgroup.
#
# Usage: guest.sh OBSERVER WAYS WRITE_HOOKS TALK_LOOP NODE DIALER FILE_RUNG... ; one line "ok …"
# or "not ok …" per result
bad=0

# All of these kernels allow every probe: one that is refused is a mistake of ours.
refused=$("$1" doctor | grep 'refused:' | grep -v 'docker.sock')
if [ -z "$refused" ]; then
    echo "ok doctor: no probe is refused"
else
    echo "not ok doctor: $refused"
    bad=1
fi
# part COMMAND…: says also how long it took
part() {
    start=$(date +%s)
    "$@" || bad=1
    echo "# ${1##*/}: $(($(date +%s) - start)) s"
}

part tests/kernels/filesystems.sh "$3"
part tests/kernels/ways.sh "$1" "$2" fexit sys_exit inotify
part tests/kernels/consoles.sh "$1" "$2" fexit sys_exit
part tests/kernels/usage.sh "$1"
part tests/kernels/talk.sh "$1" "$4"
part tests/kernels/deaths.sh "$1" "$5"
part tests/kernels/canary.sh "$1" fexit
part tests/kernels/net.sh "$1" "$6"
part tests/kernels/flows.sh "$1"
observer=$1 ways=$2
shift 6
part tests/kernels/files.sh "$observer" "$ways" "$@"
exit "$bad"
