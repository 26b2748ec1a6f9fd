# shellcheck shell=sh
# SPDX-License-Identifier: BSD-2-Clause
#
# lib.sh - what the tests inside other kernels share; to be sourced. For busybox.
#
# The script sets LIMIT_S, and before it calls them $rung for say (and $part, to stand before it)
# and $PORT for metric, is_up and has_nodes. bad=1 once something was not ok.
# shellcheck disable=SC2034,SC2154 # of the script
bad=0

say() { # ok|not ok, what
    echo "$1 ${part:+$part }$rung: $2"
    [ "$1" = ok ] || bad=1
}

metric() { # NAME
    wget -q -O - "http://127.0.0.1:$PORT/metrics" 2>/dev/null | sed -n "s/^$1 //p"
}

# until LIMIT_S have passed or the command succeeds
wait_for() {
    end=$(($(date +%s) + LIMIT_S))
    until "$@"; do
        [ "$(date +%s)" -lt "$end" ] || return 1
        sleep 0.2
    done
}

is_up() { [ -n "$(metric gswarm_nodes)" ]; }
has_nodes() { [ "$(metric gswarm_nodes)" = "$1" ]; }
