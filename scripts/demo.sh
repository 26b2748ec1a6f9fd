#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# demo.sh - show the observer at work, with nothing there but this repository.
#
# Starts a node look-alike (tests/node), in a container where a Docker engine can be had, else
# as plain processes; shows its events live for DEMO_SECONDS (30) or until Ctrl-C; cleans up.
# Called by `make demo`, which sets OBSERVER and NODE.
set -euo pipefail

cd "$(dirname "$0")/.."
OBSERVER=${OBSERVER:-$PWD/build/gswarm-observer}
NODE=${NODE:-$PWD/build/tests/node/node}
SECONDS_TO_SHOW=${DEMO_SECONDS:-30}
NAME=rl-swarm-demo
DATA=$PWD/tests/data

tmp='' engine='' socket='' image='' container='' tree='' tracer=''

say() { printf '\033[1mdemo:\033[0m %s\n' "$*" | if [ -t 1 ]; then cat; else sed 's/\x1b\[[0-9;]*m//g'; fi; }

cleanup() {
    local pid
    trap '' INT TERM
    for pid in $tracer $tree; do kill -TERM "$pid" 2>/dev/null || true; done
    for pid in $tracer $tree; do wait "$pid" 2>/dev/null || true; done
    [ -z "$container" ] || docker -H "unix://$socket" rm -f "$container" >/dev/null 2>&1 || true
    [ -z "$image" ] || docker -H "unix://$socket" rmi "$image" >/dev/null 2>&1 || true
    [ -z "$engine" ] || scripts/docker-engine.sh stop "$engine" || true
    [ -z "$tmp" ] || rm -rf "$tmp"
}

have_docker() { # a running engine, which we only ask for one container
    socket=/var/run/docker.sock
    command -v docker >/dev/null && [ -S "$socket" ] &&
        docker -H "unix://$socket" version >/dev/null 2>&1
}

private_docker() {
    [ "$(id -u)" = 0 ] && command -v dockerd >/dev/null &&
        engine=$(scripts/docker-engine.sh start $$ 2>"$tmp/engine.err") &&
        socket=$engine/docker.sock
}

start_container() {
    if have_docker; then
        say "a Docker engine runs here: the look-alike goes into container $NAME"
    elif private_docker; then
        say "started a private Docker engine in $engine: the look-alike goes into container $NAME"
    else
        return 1
    fi
    if docker -H "unix://$socket" inspect "$NAME" >/dev/null 2>&1; then
        say "there is a container $NAME already, perhaps another demo's: docker rm -f $NAME"
        exit 1
    fi
    scripts/docker-engine.sh image "$socket" "$NODE"
    image=gswarm/node:test
    trace --container "$NAME" --docker-socket "$socket"
    container=$(docker -H "unix://$socket" run -d --name "$NAME" --network none gswarm/node:test \
        --scenario /scenarios/scenario-healthy.txt --script "$(cat "$DATA/scenario-demo.txt")")
}

start_tree() {
    say "no Docker engine to be had${why:+ ($why)}: the look-alike runs as plain processes"
    mkdir "$tmp/node"
    trace --command "*$tmp/node*" --docker-socket "$tmp/none.sock"
    "$NODE" --dir "$tmp/node" --scenario "$DATA/scenario-healthy.txt" \
        --script "$(cat "$DATA/scenario-demo.txt")" >"$tmp/console" 2>&1 </dev/null &
    tree=$!
}

# One short line per event. Reads JSON lines whose keys stand as in docs/events.md.
short_form() {
    local awk=(awk)
    if awk -W version 2>&1 </dev/null | grep -qi mawk; then awk=(awk -W interactive); fi
    # shellcheck disable=SC2016 # $0 is awk's
    "${awk[@]}" '
    function text(key,    s) {
        if (!match($0, "\"" key "\": ?\"([^\"\\\\]|\\\\.)*\"")) return ""
        s = substr($0, RSTART, RLENGTH)
        sub("^\"" key "\": ?\"", "", s); sub("\"$", "", s)
        gsub(/\\"/, "\"", s); gsub(/\\\//, "/", s); gsub(/\\\\/, "\\", s)
        return s
    }
    BEGIN {
        colour["training_progress"] = 32; colour["peer_event"] = 36; colour["error"] = 31
        colour["auth_event"] = 35; colour["chain_event"] = 33; colour["log"] = 90
    }
    {
        type = text("event_type"); c = type in colour ? colour[type] : 34
        event = text("event"); message = text("message")
        if (type == "error") event = text("code")
        if (type == "node_state") message = text("from") " -> " text("to") ": " text("reason")
        if (message == "" || type == "node_lifecycle") message = text("role") " " text("reason") message
        if (length(message) > 90) message = substr(message, 1, 89) "…"
        where = text("path"); sub(/.*\//, "", where)
        if (where == "") where = text("comm")
        printf "%s  \033[%dm%-17s %-16s\033[0m %s  \033[90m%s %s %s\033[0m\n",
            substr(text("timestamp"), 12, 12), c, type, event, message,
            text("via"), text("container"), where
    }'
}

show() { if [ -t 1 ]; then short_form; else cat; fi; }

# Starts first, so that the node's first line is seen as it is written.
trace() {
    say "running: gswarm-observer trace $*"
    say "the look-alike plays a node's life; its events follow, for $SECONDS_TO_SHOW s or until Ctrl-C"
    "$OBSERVER" trace "$@" > >(show) &
    tracer=$!
    sleep 0.7
    if ! kill -0 "$tracer" 2>/dev/null; then
        say "trace ended at once; 'gswarm-observer doctor' tells what this host allows"
        exit 1
    fi
}

trap cleanup EXIT
trap 'exit 0' INT TERM
tmp=$(mktemp -d "${TMPDIR:-/tmp}/gso-demo.XXXXXX")
why=''
start_container || {
    why=$(tail -n 1 "$tmp/engine.err" 2>/dev/null || true)
    start_tree
}
end=$((SECONDS + SECONDS_TO_SHOW))
while [ "$SECONDS" -lt "$end" ] && kill -0 "$tracer" 2>/dev/null; do sleep 0.2; done
kill -TERM "$tracer" 2>/dev/null || true
wait "$tracer" || true
tracer=''
say "done, cleaning up. 'make run' watches the nodes of this host."
