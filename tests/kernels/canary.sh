#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# canary.sh - does each attached probe see what the observer's own child does, on each rung of this
# kernel? For scripts/kernel-test.sh: busybox, no Python.
#
# Usage: canary.sh OBSERVER RUNG... ; one line "ok …" or "not ok …" per result
# shellcheck disable=SC2317 # called by wait_for
OBSERVER=$1
PORT=8080
LIMIT_S=60
PROBES=6 # files, consoles, processes, p2pd's socket, connections, UDP
part=canary
shift
# shellcheck source=tests/kernels/lib.sh
. "$(dirname "$0")/lib.sh"

health() { wget -q -O - "http://127.0.0.1:$PORT/health" 2>/dev/null; }
seen() { [ "$(health | grep -c '"canary_seen":[[:space:]]*true')" = "$PROBES" ]; }

run_rung() {
    dir=$(mktemp -d /tmp/canary.XXXXXX)
    cat >"$dir/config.yaml" <<EOT
state_dir: $dir/state
targets: {builtin: false}
server: {listen: "127.0.0.1:$PORT"}
probes: {file_write: $rung, canary_interval: 1s}
EOT
    "$OBSERVER" run -c "$dir/config.yaml" >"$dir/log" 2>&1 &
    observer=$!
    # emulated processors make 7.3 skip programs, which is said, and no fault of the probe
    if wait_for seen && [ "$(metric gswarm_probes_mended_total)" = 0 ]; then
        say ok "each attached probe sees"
    else
        say "not ok" "some probe does not see"
        health | grep -E '"(need|canary_seen)"' | sed 's/^/# /'
        tail -n 5 <"$dir/log" | sed 's/^/# /'
    fi
    kill $observer
    wait $observer
}

for rung; do
    run_rung
done
exit "$bad"
