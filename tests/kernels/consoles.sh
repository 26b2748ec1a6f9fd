#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# consoles.sh - what a node says on a pipe and on a terminal, and what a process writes that entered
# its container, as `docker exec` does: on each rung that sees it. For scripts/kernel-test.sh:
# busybox, no Python, no container engine.
#
# Usage: consoles.sh OBSERVER WAYS RUNG... : RUNG is fexit or sys_exit
# Prints a line "ok …" or "not ok …" per rung and way.
OBSERVER=$1
WAYS=$(realpath "$2")
shift 2
PORT=${PORT:-8080}
LIMIT_S=60
LINES=192 # of a way
ID=$(printf '%064d' 7)
# shellcheck source=tests/kernels/lib.sh
. "$(dirname "$0")/lib.sh"

stored() { "$OBSERVER" events --state-dir "$dir/state" --all 2>/dev/null; }

# lines of console way NAME: all of them, each once, and once by the node before, if $n is 2
spoken() { # NAME
    stored | grep '"via":"console"' | grep "\"comm\":\"$1\"" |
        sed -n "s/.*\"message\":\"\($1 [0-9]*\).*/\1/p" >"$dir/spoken"
    [ "$(sort "$dir/spoken" | uniq -c | grep -c "^ *$n ")" = $LINES ]
}

# console ways on descriptor 1 as COMMAND makes it
speak() { # COMMAND NAME...
    kind=$1
    shift
    mkdir "$dir/$kind"
    mkfifo "$dir/$kind/in" "$dir/$kind/out" "$dir/$kind/err"
    cat <"$dir/$kind/out" >/dev/null &
    "$WAYS" "$kind" "$dir/$kind" <"$dir/$kind/in" >"$dir/$kind/out" 2>"$dir/$kind/err" &
    speaker=$!
    exec 3>"$dir/$kind/in" 4<"$dir/$kind/err"
    wait_for has_nodes 1 || say "not ok" "$kind: the node is not found"
    for name; do
        echo "$name" >&3
        read -r answer <&4
        if [ "$answer" = "done" ] && wait_for spoken "$name"; then
            say ok "$kind: $name: each line once"
        else
            say "not ok" "$kind: $name: $answer, $(wc -l <"$dir/spoken") lines"
        fi
        : >"$dir/spoken"
    done
    exec 3>&- 4<&-
    wait $speaker
    wait_for has_nodes 0
}

lost_bytes() { metric 'gswarm_ring_lost_console_bytes_total{[^}]*}' | awk '{ s += $1 } END { print s + 0 }'; }
all_lost() { [ "$(lost_bytes)" = "$1" ]; }

# the same with ways of which no probe has the bytes: counted, and nothing else
lose() { # NAME...
    mkdir "$dir/lost"
    mkfifo "$dir/lost/in" "$dir/lost/out" "$dir/lost/err"
    cat <"$dir/lost/out" >/dev/null &
    "$WAYS" console "$dir/lost" <"$dir/lost/in" >"$dir/lost/out" 2>"$dir/lost/err" &
    speaker=$!
    exec 3>"$dir/lost/in" 4<"$dir/lost/err"
    wait_for has_nodes 1 || say "not ok" "lost: the node is not found"
    for name; do
        want=$(($(lost_bytes) + 64 * LINES))
        echo "$name" >&3
        answer=
        while [ "$answer" != "done" ] && [ "$answer" != "not here" ] && read -r answer <&4; do :; done
        if [ "$answer" = "not here" ]; then
            say ok "console: $name: not to be had here"
        elif [ "$answer" = "done" ] && wait_for all_lost "$want" && ! spoken "$name"; then
            say ok "console: $name: counted as lost"
        else
            say "not ok" "console: $name: $answer, $(lost_bytes) of $want bytes lost"
        fi
    done
    exec 3>&- 4<&-
    wait $speaker
    wait_for has_nodes 0
}

skipped() { metric 'gswarm_program_missed_total{[^}]*}' | awk '{ s += $1 } END { print s + 0 }'; }
mixed() { # how many of the lines "WHO N one two" are there, whole
    stored | grep '"via":"console"' | grep -o '"message":"[ab] [0-9]* one two *"' | sort -u | wc -l
}
all_mixed() { [ "$(mixed)" = 20 ]; }

# Two processes on one pipe by turns, each line in pieces: each process's lines are whole.
mix() {
    # shellcheck disable=SC2016 # expanded there
    writer='while read -r p; do if [ "$p" = end ]; then echo; else printf "%s " "$p"; fi; done'
    before=$(skipped)
    mkdir "$dir/mix"
    mkfifo "$dir/mix/out" "$dir/mix/a" "$dir/mix/b"
    cat <"$dir/mix/out" >/dev/null &
    sh -c "$writer" console "$dir/mix" <"$dir/mix/a" >"$dir/mix/out" &
    one=$!
    sh -c "$writer" console "$dir/mix" <"$dir/mix/b" >"$dir/mix/out" &
    two=$!
    exec 3>"$dir/mix/a" 4>"$dir/mix/b"
    wait_for has_nodes 2 || say "not ok" "two writers: the nodes are not found"
    for i in 0 1 2 3 4 5 6 7 8 9; do
        for piece in a+b "$i" one two end; do
            echo "${piece%+*}" >&3
            sleep 0.01
            echo "${piece#*+}" >&4
            sleep 0.01
        done
    done
    if (LIMIT_S=15 && wait_for all_mixed); then
        say ok "two writers on one pipe: each line of both is whole"
    elif [ "$(skipped)" -gt "$before" ]; then
        # a preemptible kernel does not enter a program twice on a processor
        say ok "two writers on one pipe: not judged, the kernel skipped pieces"
    else
        say "not ok" "two writers on one pipe: $(mixed) of 20 lines"
    fi
    exec 3>&- 4>&-
    wait $one $two
    wait_for has_nodes 0
}

entered() { # NAME: the way's lines are there, each once
    stored | grep "\"path\":\"$dir/logs/$1.log\"" | sed -n 's/.*"offset":\([0-9]*\).*/\1/p' >"$dir/spoken"
    [ "$(wc -l <"$dir/spoken")" = $LINES ] && [ "$(sort -u "$dir/spoken" | wc -l)" = $LINES ]
}

# A node in a cgroup as Docker makes one and in namespaces of its own; a stranger enters them.
enter() {
    cgroup=/sys/fs/cgroup/docker/$ID
    mkdir -p "$cgroup" "$dir/logs"
    mkfifo "$dir/in"
    (
        echo 0 >"$cgroup/cgroup.procs"
        exec unshare -m -u -i "$WAYS" run "$dir/logs" <"$dir/in" >/dev/null
    ) &
    node=$!
    exec 3>"$dir/in"
    wait_for has_nodes 1 || say "not ok" "enter: the node is not found"
    for name in write dying; do
        (
            echo 0 >"$cgroup/cgroup.procs"
            exec nsenter -t $node -m -u -i "$WAYS" write "$dir/logs" $name
        )
        if wait_for entered $name; then
            say ok "a process that entered the container: $name: each line once"
        else
            say "not ok" "a process that entered the container: $name: $(wc -l <"$dir/spoken") lines"
        fi
    done
    exec 3>&-
    wait $node
}

run_rung() {
    rung=$1
    dir=$(mktemp -d)
    cat >"$dir/config.yaml" <<EOF
node_id: guest
state_dir: $dir/state
forward: all
initial_tail_lines: 0
targets:
  builtin: false
  include:
    command: ["*console $dir*", "*terminal $dir*", "*run $dir*"]
server:
  listen: "127.0.0.1:$PORT"
probes:
  file_write: $rung
EOF
    "$OBSERVER" run -c "$dir/config.yaml" >"$dir/log" 2>&1 &
    observer=$!
    if wait_for is_up; then
        n=1
        speak console c-write c-writev c-vmsplice
        n=2
        speak terminal c-write c-writev
        lose c-tee c-splice c-sendfile c-aio c-ring-write c-ringsplice
        mix
        enter
    else
        say "not ok" "the observer does not start"
    fi
    kill $observer
    wait $observer || say "not ok" "the observer's exit status"
    [ "$bad" = 0 ] || cat "$dir/log"
    rm -rf "$dir"
    rmdir "$cgroup" 2>/dev/null
}

for r; do
    run_rung "$r"
done
[ "$bad" = 0 ]
