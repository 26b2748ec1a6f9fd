#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# flows.sh - inside one kernel: the UDP packets of a node that shares its cgroup with others.
#
# Usage: flows.sh OBSERVER ; one line "ok …" or "not ok …" per result
dir=$(mktemp -d)
bad=0

cat >"$dir/c.yaml" <<EOC
state_dir: $dir/state
server: {listen: "127.0.0.1:8089"}
system: {poll_interval: 0}
targets: {builtin: false, include: {command: ["*gso-test-udp*"]}}
EOC

# Asks nobody, when it is told to.
mkfifo "$dir/go"
sh -c "read -r _ <$dir/go; busybox nslookup some.name 127.0.0.7; read -r _ <$dir/go" gso-test-udp >/dev/null 2>&1 &
"$1" run -c "$dir/c.yaml" >"$dir/log" 2>&1 &
observer=$!
for _ in $(seq 120); do # emulated machines load programs slowly
	busybox wget -qO "$dir/peers" http://127.0.0.1:8089/api/v1/peers && grep -q '"node":' "$dir/peers" && break
	sleep 1
done
busybox nslookup other.name 127.0.0.8 >/dev/null 2>&1
echo >"$dir/go"
for _ in $(seq 60); do
	busybox wget -qO "$dir/peers" http://127.0.0.1:8089/api/v1/peers
	grep -q '127.0.0.7:53' "$dir/peers" && break
	sleep 1
done
if grep -q '"udp":\[{"remote":"127.0.0.7:53"' "$dir/peers" && ! grep -q '127.0.0.8' "$dir/peers"; then
	echo "ok flows: of a shared cgroup the node's packets, and no others'"
else
	echo "not ok flows: of a shared cgroup the node's packets, and no others'"
	cat "$dir/log" "$dir/peers"
	bad=1
fi
if grep -q '127.0.0.7:53.*"pid":[1-9].*"first_seen":"2' "$dir/peers"; then
	echo "ok flows: whose process has it"
else
	echo "not ok flows: whose process has it"
	cat "$dir/peers"
	bad=1
fi
echo >"$dir/go"
kill "$observer"
wait "$observer"
rm -rf "$dir"
exit "$bad"
