#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# usage.sh - inside one kernel: what the kernel's iterator says of a process, beside /proc.
#
# Usage: usage.sh OBSERVER ; one line "ok …" or "not ok …" per result
dir=$(mktemp -d)
bad=0

cat >"$dir/c.yaml" <<EOF
state_dir: $dir/state
server: {listen: ""}
system: {poll_interval: 0}
usage: {interval: 1}
targets: {builtin: false, include: {command: ["*gso-test-burn*"]}}
EOF

result() { # TEXT GOT WANT PERCENT
	if [ "$(($2 * 100))" -ge "$(($3 * (100 - $4)))" ] &&
		[ "$(($2 * 100))" -le "$(($3 * (100 + $4)))" ]; then
		echo "ok usage: $1: observed $2, /proc $3"
	else
		echo "not ok usage: $1: observed $2, /proc $3"
		bad=1
	fi
}

# Eight MiB of its own, then nothing but work.
sh -c 'x=$(head -c 8388608 /dev/zero | tr "\0" x); : >"$1"; while :; do :; done' \
	gso-test-burn "$dir/grown" &
burner=$!
until [ -e "$dir/grown" ]; do sleep 0.2; done
"$1" run -c "$dir/c.yaml" >"$dir/log" 2>&1 &
observer=$!
snapshots() { "$1" events --state-dir "$dir/state" --all 2>/dev/null | grep '"container_snapshot"'; }
for _ in $(seq 120); do # emulated machines are slow
	[ "$(snapshots "$1" | grep -c '"cpu_percent"')" -ge 2 ] && break
	sleep 1
done
kill "$observer"
wait "$observer"
grep -q "resource use .*iter/task" "$dir/log" || {
	echo "not ok usage: the iterator is not used"
	tail -n 20 "$dir/log"
	exit 1
}
last=$(snapshots "$1" | tail -n 1)
number() { echo "$last" | sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" | grep . || echo 0; }

pages=$(cut -d ' ' -f 2 <"/proc/$burner/statm")
result "resident KiB" "$(($(number rss_bytes) / 1024))" "$((pages * 4))" 5
result "threads" "$(number threads)" 1 0
cpu=$(number cpu_percent)
if [ "${cpu:-0}" -ge 40 ]; then
	echo "ok usage: it works: $cpu % of a core"
else
	echo "not ok usage: $cpu % of a core by a process that does nothing else"
	bad=1
fi
kill "$burner"
rm -rf "$dir"
exit "$bad"
