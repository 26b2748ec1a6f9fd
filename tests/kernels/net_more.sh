# shellcheck shell=sh
# SPDX-License-Identifier: BSD-2-Clause
#
# net_more.sh - what else happens to a node's sockets; sourced by net.sh, whose words it uses, and where it
# stands which rung does what.
# shellcheck disable=SC2154,SC2034 # of net.sh
STORM=$(dirname "$DIALER")/connect_storm

# How many connections, listeners or sockets (from "local" on), or flows (from "remote" on), have all of these.
entries() { # TEXT...
    found=$(peers | sed 's/{"\(local\|remote\)"/\n&/g')
    for text; do
        found=$(echo "$found" | grep "$text")
    done
    echo "$found" | grep -c .
}
are() { # N TEXT...
    n=$1
    shift
    [ "$(entries "$@")" = "$n" ]
}

before_the_observer() {
    must a listen 4002
    must b listen 4001
    must a dial 10.77.0.2 4001 5
    must b accept 5
    must b dial 10.77.0.1 4002 5
    must a accept 5
}

found_there() {
    keys=out
    check "10 connections that were there before" agree
    check "and are told so" are 10 '"state":"ESTAB"' '"preexisting":true'
    must a close
    must b close
    keys="out closed"
    check "their ends" agree
}

handed_on() {
    for how in fork pass; do
        must b dial 10.77.0.1 4002 1
        must a accept 1
        child=$(a $how)
        check "handed on by $how: it is the child's" are 1 '"local":"10.77.0.1:4002"' "\"pid\":${child#done pid=},"
    done
    must a reap
    must b close
    check "what was handed on has ended" agree
}

held_ones() {
    must a hold "$STORM" 200
    check "200 more connections with itself" agree
    must a reap
    check "their ends, too" agree
}

fast_ones() {
    must a storms "$STORM" 1000
    check "1,000 connections as fast as there can be" agree
}

datagrams() {
    before=$keys
    must b echo 9000
    must a quic 10.77.0.2 9000 20
    size=$((20 * (60 + 28)))
    check "QUIC: packets and bytes of both ways" are 1 '"remote":"10.77.0.2:9000"' '"packets_sent":20[,}]' \
        '"packets_received":20[,}]' "\"bytes_sent\":${size}[,}]" "\"bytes_received\":${size}[,}]" '"quic_version":"00000001"'
    must a flood "$STORM" 2000
    keys="udp_packets_sent udp_packets_received"
    check "a flood of 2,000 datagrams" agree
    must a reap
    keys=$before
}

names() {
    $IP -n b addr add 10.77.0.3/24 dev eth0
    must b dns 53 10.77.0.3
    must a lookup 10.77.0.2 53 huggingface.co
    must a dial 10.77.0.3 4001 1
    must a dial 10.77.0.2 4001 1
    must b accept 2
    must a hello api.wandb.ai
    check "a name by DNS" are 1 '"remote":"10.77.0.3:4001"' '"name":"huggingface.co"' '"role":"model_hub"' '"state"'
    check "a name by TLS" are 1 '"remote":"10.77.0.2:4001"' '"name":"api.wandb.ai"' '"role":"wandb"' '"state"'
    must a close
    must b close
    must b reap
}

unseen_has() { grep -q "unseen: .*$1" "$dir/log"; }

mptcp_ones() {
    must b mptcp 1
    must b queue 4006 8
    must a mptcp 1
    must a dial 10.77.0.2 4006 1
    must a mptcp 0
    must b mptcp 0
    [ "$rung" != bpf ] || check "an MPTCP subflow" told connected '"remote":"10.77.0.2:4006"' 1
    check "MPTCP's gaps are said" unseen_has MPTCP
    must a close
    must b unqueue
    # MPTCP ends its subflow as it likes: that it was counted is what is asked for
    [ "$rung" != bpf ] || check "its end" agree
}

# The kernel counts what it drops, in the namespace.
list_drops() {
    in_net a cat /proc/net/netstat | sed -n '/^TcpExt/{s/TcpExt: //;p}' | {
        read -r names
        read -r numbers
        # shellcheck disable=SC2086 # one word each
        set -- $numbers
        for name in $names; do
            [ "$name" != ListenDrops ] || echo "$1"
            shift
        done
    }
}
refused_equal() {
    drops=$(list_drops)
    totals=$(peers | sed -n 's/.*"totals":{\([^}]*\)}.*/\1/p')
    [ "$drops" -gt 0 ] && [ "$(($(total not_accepted) - told_before))" = "$((drops - drops_before))" ] &&
        [ "$(events | grep -c '"event":"accept_queue_full"')" -gt 0 ]
}

full_queue() {
    drops_before=$(list_drops)
    totals=$(peers | sed -n 's/.*"totals":{\([^}]*\)}.*/\1/p')
    told_before=$(total not_accepted)
    must a queue 4003 1
    must b dial 10.77.0.1 4003 2
    must b patience 500
    must b try 10.77.0.1 4003 3
    must b patience 0
    check "a full accept queue: as many refused as the kernel says" refused_equal
    must b close
    must a unqueue
}

later_namespace() {
    $IP netns add c
    $IP -n c link set lo up
    mkfifo "$dir/c.in" "$dir/c.out"
    in_net c "$DIALER" "$dir" <"$dir/c.in" >"$dir/c.out" &
    exec 7>"$dir/c.in" 8<"$dir/c.out"
    for what in 'listen 4005' 'dial 127.0.0.1 4005 3' 'accept 3'; do
        echo "$what" >&7
        read -r answer <&8
        [ "$answer" = "done" ] || say "not ok" "$what: $answer"
    done
    check "a later namespace: who dialled" are 3 '"remote":"127.0.0.1:4005"' '"direction":"out"'
    way=in
    [ "$rung" != proc ] || way=unknown
    check "and who was dialled" are 3 '"local":"127.0.0.1:4005"' "\"direction\":\"$way\"" ESTAB
    exec 7>&- 8<&-
    $IP netns del c # it has ended, or ends now
}
