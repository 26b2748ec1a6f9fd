#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# net.sh - TCP connections of a node on this kernel, on each rung that sees them, beside what the
# two ends of them counted (tests/triggers/dialer): over IPv4, IPv6 and mapped, how they end, how
# they fail; and over a line that is slow, loses packets, swallows them, or is cut (netem); what was
# there before, is handed on, waits in vain, comes in later namespaces (net_more.sh). For
# scripts/kernel-test.sh: busybox, iproute2, no Python.
#
# Usage: net.sh OBSERVER DIALER ; one line "ok …" or "not ok …" per result
# shellcheck disable=SC2317 # called by wait_for
OBSERVER=$1
DIALER=$2
IP=/usr/sbin/ip
TC=/usr/sbin/tc
LIMIT_S=30
part=net
# shellcheck source=tests/kernels/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/kernels/net_more.sh
. "$(dirname "$0")/net_more.sh"

check() { # WHAT COMMAND... : must be true within the limit
    what=$1
    shift
    if wait_for "$@"; then
        say ok "$what"
        return
    fi
    say "not ok" "$what"
    echo "# counted: $(a counts)"
    echo "# seen: $(peers)"
    tail -n 5 <"$dir/log" | sed 's/^/# /'
}

# --- the two ends ---

in_net() { # NAME COMMAND...
    net=$1
    shift
    nsenter --net="/run/netns/$net" "$@"
}

put_up() { # NAME NUMBER
    in_net "$1" sysctl -qw net.ipv6.conf.eth0.accept_dad=0 net.ipv4.neigh.eth0.mcast_solicit=1
    $IP -n "$1" addr add "10.77.0.$2/24" dev eth0
    $IP -n "$1" -6 addr add "fd77::$2/64" dev eth0 nodad
    $IP -n "$1" link set lo up
    $IP -n "$1" link set eth0 up
}

make_nets() {
    $IP netns add a
    $IP netns add b
    $IP link add eth0 netns a type veth peer name eth0 netns b
    put_up a 1
    put_up b 2
}

a() {
    echo "$*" >&3
    read -r answer <&4
    echo "$answer"
}

b() {
    echo "$*" >&5
    read -r answer <&6
    echo "$answer"
}

must() { # a|b COMMAND...
    answer=$("$@")
    case $answer in
    done*) ;;
    *) say "not ok" "$*: $answer" ;;
    esac
}

both() { # what each of them is to do at the same time: A's, B's
    echo "$1" >&3
    echo "$2" >&5
    read -r first <&4
    read -r second <&6
    [ "$first $second" = "done done" ] || say "not ok" "$1, $2: $first, $second"
}

start_ends() {
    mkfifo "$dir/a.in" "$dir/a.out" "$dir/b.in" "$dir/b.out"
    in_net a "$DIALER" "$dir" <"$dir/a.in" >"$dir/a.out" &
    ends=$!
    exec 3>"$dir/a.in" 4<"$dir/a.out"
    in_net b "$DIALER" other <"$dir/b.in" >"$dir/b.out" &
    ends="$ends $!"
    exec 5>"$dir/b.in" 6<"$dir/b.out"
}

# --- the observer ---

peers() { wget -q -O - http://127.0.0.1:8080/api/v1/peers 2>/dev/null; }
total() { echo "$totals" | sed -n "s/.*\"$1\":\([0-9]*\)[,}].*/\1/p"; }
has_node() { peers | grep -q '"totals"'; }
events() { (cd "$dir" && "$top/$OBSERVER" events --state-dir state --all 2>/dev/null); }
told() { # NAME TEXT N : so many events of this name with this text
    [ "$(events | grep "\"event\":\"$1\"" | grep -c "$2")" = "$3" ]
}

start_observer() {
    cat >"$dir/config.yaml" <<EOT
node_id: guest
state_dir: $dir/state
usage: {interval: 0}
system: {poll_interval: 0}
targets: {builtin: false, include: {command: ["*$dir*"]}}
server: {listen: "127.0.0.1:8080"}
probes: {connections: $probe}
connections: {interval: 1s, events_per_second: 10000}
EOT
    # neither its own command line nor that of anything we run is to be the node's
    (cd "$dir" && exec "$top/$OBSERVER" run -c config.yaml >log 2>&1) &
    observer=$!
    tries=0 # emulated machines load programs slowly
    until has_node || [ $tries = 5 ]; do
        wait_for has_node
        tries=$((tries + 1))
    done
    [ $tries -lt 5 ]
}

# Everything that the end counted. /proc does not tell who dialled on a port that is listened on.
agree() {
    counts=$(a counts)
    totals=$(peers | sed -n 's/.*"totals":{\([^}]*\)}.*/\1/p')
    for pair in ${counts#done }; do
        key=${pair%=*}
        [ "$key" != in ] || key=$in
        case " $keys $in " in
        *" $key "*) [ "$(total "$key")" = "${pair#*=}" ] || return 1 ;;
        esac
    done
}

number_of() { # NAME TEXT : of "NAME=1" or "NAME":1
    echo "$2" | sed -n "s/.*[\" ]$1[\":=]*\([0-9]*\).*/\1/p"
}

# The one connection with this port, as the observer and as the kernel have it.
same_info() { # PORT KEY...
    port=$1
    shift
    truth=$(a info)
    seen=$(peers | sed 's/{"local"/\n&/g' | grep "\"remote\":\"[^\"]*:$port\"" | tail -n 1)
    for key; do
        [ -n "$seen" ] && [ "$(number_of "$key" "$seen")" = "$(number_of "$key" "$truth")" ] || return 1
    done
}

# --- what is tried ---

open_ones() {
    for at in 10.77.0.2 fd77::2 ::ffff:10.77.0.2; do
        must a dial $at 4001 20
    done
    must b accept 60
    must a send 1000
    must b read 1000
    must b send 300
    waits() { [ "$(number_of recv_queue "$(a info)")" = 300 ] && same_info 4001 recv_queue; }
    [ "$rung" = proc ] || check "what nobody has read yet" waits
    must a read 300
    for at in 10.77.0.1 fd77::1; do
        must b dial $at 4002 10
    done
    must a accept 20
    keys="out bytes_sent bytes_received"
    [ "$rung" != proc ] || keys=out # /proc/net/tcp has no counters
    check "80 connections each way, IPv4, IPv6 and mapped" agree
    keys=$1 # of bytes the kernel counts those that are sent again, and the other side's FIN
    must a close
    must b close
    check "their ends" agree
}

ended_by_the_other() {
    must a dial 10.77.0.2 4001 5
    must b accept 5
    check "5 more" agree
    must b abort
    must a ends
    [ "$rung" != bpf ] || check "connections reset by the other side" told disconnected '"closed_by":"remote_reset"' 5
}

short_ones() {
    must a storm 10.77.0.2 4001 300
    must a storm fd77::2 4001 100
    must b accept 400
    must b close
    check "400 connections that are reset at once" agree
}

failing_ones() {
    must a try 10.77.0.2 9 5
    must a try fd77::2 9 5
    must a try ::ffff:10.77.0.2 9 5
    $IP -n a neigh add 10.77.0.99 lladdr 02:00:00:00:00:99 dev eth0
    must a patience 500
    must a try 10.77.0.99 9 1
    must a patience 0
    must a try 10.77.0.98 9 1
    check "connects that fail: refused, lost, unreachable" agree
    check "one event each" told connect_failed '"error":"refused"' 15
    check "the lost one" told connect_failed '"remote":"10.77.0.99:9".*"error":"timeout"' 1
    check "the unreachable one" told connect_failed '"remote":"10.77.0.98:9".*"error":"unreachable"' 1
}

netem() { $TC -n b qdisc replace dev eth0 root netem "$@"; }

slow_line() {
    netem delay 100ms
    must a dial 10.77.0.2 4001 1
    must b accept 1
    must a send 10
    must b read 10
    check "a line of 100 ms: RTT, its variance and minimum, window and rate as the kernel has them" \
        same_info 4001 rtt_us rttvar_us min_rtt_us cwnd delivery_rate
    if [ "$(number_of rtt_us "$truth")" -lt 100000 ]; then
        say "not ok" "RTT of a line of 100 ms: $truth"
    fi
    must a close
    must b close
}

crossing_ones() {
    $TC -n a qdisc replace dev eth0 root netem delay 100ms
    both 'from ::ffff:10.77.0.2 5002 5001' 'from ::ffff:10.77.0.1 5001 5002'
    check "both dial each other at the same time" agree
    must a close
    must b close
}

lossy_line() {
    $TC -n b qdisc del dev eth0 root
    $TC -n a qdisc replace dev eth0 root netem loss 5%
    must a dial 10.77.0.2 4001 1
    must b accept 1
    rounds=0
    until [ "$(number_of retransmits "$(a info)")" -gt 0 ] || [ $rounds = 50 ]; do
        both 'send 300000' 'read 300000'
        rounds=$((rounds + 1))
    done
    check "5 % loss: retransmits as the kernel has them" same_info 4001 retransmits
    [ "$(number_of retransmits "$truth")" -gt 0 ] || say "not ok" "nothing was lost in $rounds rounds"
}

cut_line() { # goes on with the connection of lossy_line
    $TC -n a qdisc del dev eth0 root
    before=$(number_of retransmits "$(a info)")
    $IP -n b link set eth0 down
    must a send 500
    again() { [ "$(number_of retransmits "$(a info)")" -gt "$before" ] && same_info 4001 retransmits send_queue; }
    check "a cut line: what is sent is sent again, and waits" again
    [ "$(number_of send_queue "$truth")" = 500 ] || say "not ok" "500 bytes wait: $truth"
    $IP -n b link set eth0 up
    $IP -n b -6 addr add fd77::2/64 dev eth0 nodad # went with the line
    must b read 500
    must a close
    must b close
}

black_hole() {
    must a patience 500
    must a dial 10.77.0.2 4001 1
    must b accept 1
    $TC -n a qdisc replace dev eth0 root netem loss 100%
    must a send 100
    must a ends
    must a try 10.77.0.2 4001 1
    must a patience 0
    $TC -n a qdisc del dev eth0 root
    must b close
    check "a black hole: what stood breaks, what is dialled is lost" agree
    check "its event" told disconnected '"closed_by":"timeout".*"error":"timeout"' 1
    check "and the connect's" told connect_failed '"remote":"10.77.0.2:4001".*"error":"timeout"' 1
}

run_rung() { # NAME PROBE IN : probes.connections, and what those that come in count as
    rung=$1 probe=$2 in=$3
    dir=$(mktemp -d /tmp/net-node.XXXXXX)
    start_ends
    before_the_observer
    start_observer || say "not ok" "the observer finds no node"
    found_there
    if [ "$rung" = bpf ]; then
        open_ones "out closed failed refused timed_out unreachable broken"
        ended_by_the_other
        short_ones
        failing_ones
        slow_line
        crossing_ones
        lossy_line
        cut_line
        black_hole
        datagrams
        names
        keys="out closed" # which end of a reset connection closes first is chance
        fast_ones
    else
        open_ones "out closed"
        ended_by_the_other
        [ "$rung" = proc ] || slow_line
    fi
    handed_on
    held_ones
    mptcp_ones
    [ "$rung" = proc ] || full_queue # which it does not tell
    later_namespace
    # shellcheck disable=SC2086 # one word each
    kill "$observer" $ends
    wait "$observer"
    exec 3>&- 4<&- 5>&- 6<&-
}

top=$PWD
make_nets
run_rung bpf bpf in
run_rung diag diag in
run_rung proc proc unknown_direction
exit "$bad"
