#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# talk.sh OBSERVER TALK_LOOP - in another kernel: are all calls between a node and its p2pd counted,
# with the sizes that they have, on the rung that this kernel gives?
#
# A preemptible kernel may skip a run of the program (observe/missed.h), and an emulated one often
# does: of a hundred calls one. The observer says so, and what it says is believed: that try does not
# count; few calls, so that some try has none.
set -u

observer=$1 talk=$2 dir=/tmp/talk
want='"rpc/out/DHTProtocol.rpc_store/calls":50,"rpc/out/DHTProtocol.rpc_store/request_bytes":3004000'

# one try: 0 exact, 1 wrong, 2 the kernel skipped something
try() {
	rm -rf $dir /tmp/hivemind-p2pd-test.sock
	mkdir $dir
	"$observer" trace --command '*gso-test-talk*' --save-p2pd $dir/saved >/dev/null 2>$dir/err &
	pid=$!
	mkfifo $dir/in
	"$talk" gso-test-talk /tmp/hivemind-p2pd-test.sock <$dir/in >/dev/null &
	talker=$!
	exec 3>$dir/in
	i=0
	until grep -q 'found node' $dir/err || [ $i = 100 ]; do sleep 0.3; i=$((i + 1)); done
	echo 'talk 40 100' >&3
	echo 'talk 10 300000' >&3
	exec 3>&-
	wait $talker
	sleep 4
	kill $pid
	wait $pid
	"$observer" p2pd $dir/saved >$dir/out
	! grep -q "$want" $dir/out || return 0
	! grep -q 'the kernel skipped' $dir/err || return 2
	return 1
}

for n in 1 2 3 4 5; do
	try
	case $? in
	0) echo "ok - 50 calls with their sizes" && exit 0 ;;
	2) echo "# try $n: $(grep 'the kernel skipped' $dir/err)" ;;
	*) break ;;
	esac
done
echo "not ok - 50 calls with their sizes"
cat $dir/err $dir/out
exit 1
