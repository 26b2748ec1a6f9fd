#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# talk.sh OBSERVER TALK_LOOP - in another kernel: are all calls between a node and its p2pd counted,
# with the sizes that they have, on the rung that this kernel gives?
set -u

observer=$1 talk=$2 file=/tmp/talk.saved

"$observer" trace --command '*gso-test-talk*' --save-p2pd $file >/dev/null 2>/tmp/talk.err &
pid=$!
mkfifo /tmp/talk.in
"$talk" gso-test-talk /tmp/hivemind-p2pd-test.sock </tmp/talk.in >/dev/null &
exec 3>/tmp/talk.in
i=0
until grep -q 'found node' /tmp/talk.err || [ $i = 100 ]; do sleep 0.3; i=$((i + 1)); done
echo 'talk 200 100' >&3
echo 'talk 20 300000' >&3
exec 3>&-
sleep 4
kill $pid
wait $pid
"$observer" p2pd $file >/tmp/talk.out
want='"rpc/out/DHTProtocol.rpc_store/calls":220,"rpc/out/DHTProtocol.rpc_store/request_bytes":6020000'
if grep -q "$want" /tmp/talk.out; then
	echo "ok - 220 calls with their sizes"
else
	echo "not ok - 220 calls with their sizes"
	cat /tmp/talk.err /tmp/talk.out
	exit 1
fi
