#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""strace of a peer and its p2pd -> the writes on their control sockets, as the tests read them.

    strace -f -yy -e trace=write,writev,sendto,sendmsg -xx -s 520 -o FILE PEER…
    from_strace.py FILE > NAME.writes

One write a line: connection (inode of the end that connected), who wrote ("d": the end that
accepted, "c": the one that connected), socket ("p2pd" or "p2pclient"), true length, first bytes.
"""

import re
import sys

CALL = re.compile(r'\d+ +(?:write|sendto)\((\d+)<UNIX-STREAM:\[(\d+)(?:->(\d+))?(?:,"([^"]*)")?\]>, '
                  r'"([^"]*)"(?:\.\.\.)?, (\d+)(?:, \w+, NULL, 0)?\) = (\d+)$')
UNFINISHED = re.compile(r"(\d+) +(.*) <unfinished \.\.\.>$")
RESUMED = re.compile(r"(\d+) +<\.\.\. \w+ resumed>(.*)$")


def text(quoted):
    return bytes.fromhex(quoted.replace("\\x", "")) if quoted else b""


def calls(lines):
    waiting = {}
    for line in lines:
        line = line.rstrip("\n")
        if m := UNFINISHED.match(line):
            waiting[m[1]] = line.removesuffix(" <unfinished ...>")
        elif m := RESUMED.match(line):
            yield waiting.pop(m[1], "") + m[2].strip() if m[2].startswith(")") else waiting.pop(m[1], "") + m[2]
        else:
            yield line


writes, sockets = [], {}
for line in calls(open(sys.argv[1])):
    m = CALL.match(re.sub(r" +", " ", line))
    if not m:
        continue
    _, own, peer, path, data, _, done = m.groups()
    name = text(path or "").decode("latin-1")
    if "/hivemind-p2p" in name:
        sockets[peer] = "p2pclient" if "p2pclient" in name else "p2pd"
    writes.append((own, peer, bool(path), text(data)[:int(done)], int(done)))
for own, peer, accepted, data, done in writes:
    conn = peer if accepted else own
    if conn in sockets:
        print(conn, "d" if accepted else "c", sockets[conn], done, data[:512].hex())
