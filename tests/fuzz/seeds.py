#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""seeds.py DIRECTORY - a folder of seeds for each fuzz target that reads something binary, made of
what the unit tests have: what real peers wrote on p2pd's sockets, addresses and ids, packets.

Each target's own first bytes (how much is captured, how much room there is) stand before them.
"""

import re
import shutil
import ssl
import sys
from collections import defaultdict
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
HEAD = 512  # captured of a write, and kept of a message


def tapes():
    """[(connection, end, socket, true length, captured)] of each recording."""
    for path in sorted((TESTS / "data/p2pd").glob("*.writes")):
        rows = (line.split() for line in path.read_text().splitlines())
        yield path.stem, [(row[0], row[1], row[2], int(row[3]), bytes.fromhex(row[4]) if len(row) > 4 else b"")
                          for row in rows]


def piece(first, captured, length, gap=0):
    """A write as fuzz_frames and fuzz_talk read it: at most 255 bytes of it, and how many follow unseen."""
    have = captured[:255]
    unseen = length - len(have)
    more = unseen if unseen < 64 else 0x40 | min(63, unseen // 1000)
    return bytes([first, len(have), more, gap]) + have


def frames(tape):
    """What each end of each connection wrote."""
    ends = defaultdict(bytes)
    for conn, end, _, length, captured in tape:
        ends[conn, end] += piece(0, captured, length)
    return ends.values()


def talk(tape):
    """A whole recording: whose write it is, and on which connection, stands in the first byte."""
    out, conns = b"", {}
    writers = {("p2pd", "d"): 0, ("p2pd", "c"): 1, ("p2pclient", "d"): 2, ("p2pclient", "c"): 3}
    for conn, end, socket, length, captured in tape:
        out += piece(writers[socket, end] | conns.setdefault(conn, len(conns) % 8) << 2, captured, length)
    return [out]


def varint(data):
    """(value, bytes), or None."""
    n = 0
    for i, byte in enumerate(data[:10]):
        n |= (byte & 0x7F) << 7 * i
        if not byte & 0x80:
            return n, i + 1
    return None


def messages(tape):
    """The messages that begin in what was captured; those that were not wholly say so."""
    streams = defaultdict(list)
    for conn, end, _, length, captured in tape:
        streams[conn, end].append((length, captured))
    for writes in streams.values():
        length_bytes = b""
        for length, captured in writes:  # hivemind writes each byte of a length by itself
            if length == 1:
                length_bytes += captured
                continue
            whole = varint(length_bytes)
            if whole and whole[0] == length:
                yield bytes([min(255, max(0, length - HEAD))]) + captured
            elif (whole := varint(captured)) and whole[0] == length - whole[1]:
                yield bytes([0]) + captured[whole[1]:]
            length_bytes = b""


def c_strings(path, shape):
    """String literals of a test that look like this."""
    text = re.sub(r'"\s*\n?\s*"', "", (TESTS / "unit" / path).read_text())
    return re.findall(rf'"({shape})"', text)


def hello(name):
    """A real ClientHello."""
    out = ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def dns(*records):
    """An answer about huggingface.co: (type, data) of each record."""
    out = b"\x12\x34\x81\x80\0\1\0" + bytes([len(records)]) + bytes(4) + b"\x0bhuggingface\x02co\0\0\1\0\1"
    for kind, data in records:
        out += b"\xc0\x0c" + kind.to_bytes(2, "big") + b"\0\1\0\0\0\x3c" + len(data).to_bytes(2, "big") + data
    return out


def names():
    yield from (text.encode() for text in c_strings("test_maddr.c", r"/[^\"]+"))
    yield from (hello(name) for name in ("api.wandb.ai", "a.b", "x" * 60 + ".example.org"))
    a, aaaa = b"\xc0\0\2\x09", bytes.fromhex("20010db8") + bytes(12)
    yield from (dns((1, a)), dns((28, aaaa)), dns((5, b"\3cdn\xc0\x0c"), (1, a), (28, aaaa)), dns((16, b"\4text"), (1, a)))


def peerids():
    yield from (b"\xff" + bytes.fromhex(text) for text in c_strings("test_peerid.c", r"(?:[0-9a-f]{2})+"))
    yield from (b"\xff" + bytes(n) for n in ((0x7F,), (0x80, 1), (0xFF,) * 9 + (1,), (0xFF,) * 10 + (2,)))


def golog():
    at = "2026-11-26T20:12:45.249Z"
    yield (f'{{"level":"error","ts":"{at}","logger":"swarm2","caller":"dial.go:1","msg":"failed to dial",'
           '"peers":[{"id":"x"}],"n":3,"error":"all \\"failed\\"\\n"}').encode()
    yield f'{at}\tERROR\tp2pd\tgo-libp2p-daemon/daemon.go:198\terror accepting\t{{"n": 1, "error": "closed"}}'.encode()
    yield f'{{"log":"\\u001b[32m\\ud83d\\ude00 text\\r\\n","stream":"stdout","time":"{at}"}}'.encode()


def main():
    seeds = defaultdict(list)
    for _, tape in tapes():
        for target, make in (("frames", frames), ("talk", talk), ("p2pd", messages)):
            seeds[target] += make(tape)
    seeds |= {"names": list(names()), "peerid": list(peerids()), "golog": list(golog())}
    for target, found in seeds.items():
        assert len(set(found)) >= 2, f"no seeds for {target}"
        where = Path(sys.argv[1]) / f"fuzz_{target}"
        shutil.rmtree(where, ignore_errors=True)
        where.mkdir(parents=True)
        for i, data in enumerate(sorted(set(found))):
            (where / f"{i:03}").write_bytes(data)


main()
