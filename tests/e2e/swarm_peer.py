#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A peer with a real p2pd: what hivemind's DHT process does on the control socket, without
hivemind. Driven by JSON lines on standard input, answers by JSON lines on standard output.

It writes as hivemind does: each byte of a length by itself, then the body. It counts its own
calls, in and out, which is the truth that tests compare with. See swarm.py.
"""

import argparse
import collections
import hashlib
import json
import os
import queue
import socket
import struct
import subprocess
import sys
import threading
import time
import uuid

PING, STORE, FIND = (f"DHTProtocol.rpc_{w}" for w in ("ping", "store", "find"))
B58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


# --- protobuf, msgpack, base58: as much as is needed --------------------------------


def varint(n):
    out = b""
    while True:
        out += bytes([n & 0x7F | (0x80 if n > 0x7F else 0)])
        n >>= 7
        if not n:
            return out


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields(data):
    """{number: [values]}"""
    out, at = collections.defaultdict(list), 0

    def take():
        nonlocal at
        n = shift = 0
        while True:
            byte = data[at]
            at += 1
            n |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return n

    while at < len(data):
        tag = take()
        if tag & 7 == 0:
            value = take()
        elif tag & 7 == 1:
            value, at = struct.unpack_from("<d", data, at)[0], at + 8
        else:
            n = take()
            value, at = data[at:at + n], at + n
        out[tag >> 3].append(value)
    return out


def msgpack_text(text):
    raw = text.encode()
    return (bytes([0xA0 | len(raw)]) if len(raw) < 32 else bytes([0xD9, len(raw)])) + raw


def msgpack_bin(raw):
    return b"\xc6" + struct.pack(">I", len(raw)) + raw


def dictionary(items):
    """A DictionaryDHTValue as hivemind packs it."""
    inner = b"\x93\xcb" + struct.pack(">d", float("inf")) + b"\xcb" + struct.pack(">d", 2e9)
    inner += b"\xdd" + struct.pack(">I", len(items))
    for subkey, value in items.items():
        inner += b"\x93" + msgpack_text(subkey) + msgpack_bin(value) + b"\xcb" + struct.pack(">d", 2e9)
    return b"\xc9" + struct.pack(">I", len(inner)) + b"\x50" + inner


def dht_key(name):
    return hashlib.sha1(msgpack_text(name)).digest()


def base58(raw):
    n, out = int.from_bytes(raw, "big"), ""
    while n:
        n, digit = divmod(n, 58)
        out = B58[digit] + out
    return "1" * (len(raw) - len(raw.lstrip(b"\0"))) + out


def from_base58(text):
    n = 0
    for c in text:
        n = n * 58 + B58.index(c)
    raw = n.to_bytes((n.bit_length() + 7) // 8, "big")
    return b"\0" * (len(text) - len(text.lstrip("1"))) + raw


ALONE = {"p2p-circuit": 290, "quic-v1": 461, "webtransport": 465}


def multiaddr(text):
    """Binary form of /ip4/…/tcp/…, of …/udp/…/quic-v1, also by way of a relay, and of /unix/…"""
    parts = text.strip("/").split("/")
    if parts[0] == "unix":
        path = "/" + "/".join(parts[1:])
        return varint(400) + varint(len(path)) + path.encode()
    out = b""
    while parts:
        name = parts.pop(0)
        if name in ALONE:
            out += varint(ALONE[name])
            continue
        value = parts.pop(0)
        if name == "ip4":
            out += varint(4) + socket.inet_aton(value)
        elif name in ("tcp", "udp"):
            out += varint({"tcp": 6, "udp": 273}[name]) + struct.pack(">H", int(value))
        elif name == "p2p":
            out += varint(421) + varint(len(raw := from_base58(value))) + raw
    return out


# --- a connection to p2pd -----------------------------------------------------------


class Connection:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(path)
        self.lock = threading.Lock()

    def write(self, body):
        with self.lock:
            for byte in varint(len(body)):
                os.write(self.sock.fileno(), bytes([byte]))
            self.write_all(body)

    def write_all(self, data):
        self.sock.setblocking(True)
        while data:
            data = data[os.write(self.sock.fileno(), data):]

    def read_exactly(self, n):
        out = b""
        while len(out) < n:
            part = os.read(self.sock.fileno(), n - len(out))
            if not part:
                raise EOFError
            out += part
        return out

    def read(self):
        n = shift = 0
        while True:
            byte = self.read_exactly(1)[0]
            n |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return self.read_exactly(n)

    def ask(self, request):
        """One Request; fields of the Response, or RuntimeError with p2pd's text."""
        self.write(request)
        answer = fields(self.read())
        if answer[1] == [1]:
            raise RuntimeError(fields(answer[2][0])[1][0].decode())
        return answer

    def close(self):
        self.sock.close()


class Count:
    def __init__(self):
        self.calls = self.answers = self.errors = self.request_bytes = self.answer_bytes = 0


class Peer:
    def __init__(self, p2pd, uid, args):
        self.path = f"/tmp/hivemind-p2pd-{uid}.sock"
        self.client_path = f"/tmp/hivemind-p2pclient-{uid}.sock"
        self.out = collections.defaultdict(Count)
        self.incoming = collections.defaultdict(Count)
        self.waiting = {}
        self.values = collections.defaultdict(dict)  # key -> subkey -> value
        self.streams = []
        self.lines = []
        self.argv = [p2pd, "-autoRelay=0", "-autonat=1", f"-b={int(bool(args.bootstrap))}",
                     "-connManager=1", "-idleTimeout=30s", f"-listen=/unix{self.path}", "-natPortMap=0",
                     "-relay=1", "-relayHopLimit=0", "-tls=1", "-persistentConnMaxMsgSize=4194304",
                     "-dhtServer=1", f"-hostAddrs={args.host}",
                     *([f"-bootstrapPeers={args.bootstrap}"] if args.bootstrap else []),
                     *([f"-id={args.identity}"] if args.identity else []), *args.flags.split()]
        self.start_p2pd()

    def start_p2pd(self):
        mine, theirs = socket.socketpair()
        start = time.monotonic()
        self.p2pd = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
        theirs.close()
        threading.Thread(target=self.read_output, args=(mine,), daemon=True).start()
        self.persistent = self.open_persistent()
        self.took_s = time.monotonic() - start
        threading.Thread(target=self.serve, args=(self.persistent,), daemon=True).start()
        for name in (PING, STORE, FIND, "Test.rpc_echo", "Test.rpc_fail", "Test.rpc_slow"):
            self.persistent_ask(field(2, field(1, name) + field(2, 0)))

    def read_output(self, sock):
        for line in sock.makefile("r", errors="replace"):
            self.lines.append(line.rstrip("\n"))

    def open_persistent(self):
        end = time.monotonic() + 60
        while True:
            try:
                c = Connection(self.path)
                break
            except OSError:
                if self.p2pd.poll() is not None or time.monotonic() > end:
                    raise SystemExit("p2pd did not start: " + " | ".join(self.lines)) from None
                time.sleep(0.02)
        c.ask(field(1, 9))
        c.sock.settimeout(None)
        return c

    # --- persistent connection

    def persistent_ask(self, message, call=None, limit_s=60):
        call = call or uuid.uuid4().bytes
        self.waiting[call] = answer = queue.Queue()
        self.persistent.write(field(1, call) + message)
        return answer.get(timeout=limit_s)

    def serve(self, persistent):
        try:
            while True:
                message = fields(persistent.read())
                call = message[1][0]
                if 3 in message:
                    threading.Thread(target=self.handle, args=(call, fields(message[3][0])),
                                     daemon=True).start()
                elif call in self.waiting:
                    self.waiting.pop(call).put(message)
        except (EOFError, OSError):
            for q in list(self.waiting.values()):
                q.put({4: [field(1, "p2pd has gone")]})

    def handle(self, call, request):
        name, data = request[2][0].decode(), request[3][0]
        count = self.incoming[name]
        count.calls += 1
        count.request_bytes += len(data)
        try:
            answer = field(1, self.answer(name, data))
            count.answer_bytes += len(fields(answer)[1][0])
            count.answers += 1
        except Exception as e:  # noqa: BLE001 (as hivemind: whatever it is goes to the caller)
            answer = field(2, repr(e))
            count.errors += 1
        self.persistent.write(field(1, call) + field(4, answer))

    def answer(self, name, data):
        if name == "Test.rpc_fail":
            raise RuntimeError("as was asked for")
        if name == "Test.rpc_slow":
            time.sleep(struct.unpack("<d", data[:8])[0])
        if name == PING:
            return field(4, time.time() + self.clock_offset()) + field(5, 1)
        if name == STORE:
            request = fields(data)
            for key, subkey, value in zip(request[2], request[3], request[4]):
                self.values[key][subkey] = value
            return field(2, b"\x01" * len(request[2]))
        if name == FIND:
            return b"".join(field(2, self.result(key)) for key in fields(data)[2])
        return data

    def clock_offset(self):
        return float(os.environ.get("SWARM_CLOCK_OFFSET", "0"))

    def result(self, key):
        if key not in self.values:
            return field(1, 0)
        items = {s[1:].decode("latin-1"): v for s, v in self.values[key].items()}
        return field(1, 2) + field(2, dictionary(items)) + field(3, 2e9)

    def call(self, peer, name, data, limit_s=60):
        count = self.out[name]
        count.calls += 1
        count.request_bytes += len(data)
        message = self.persistent_ask(
            field(3, field(1, from_base58(peer)) + field(2, name) + field(3, data)),
            limit_s=limit_s)
        if 4 in message:
            count.errors += 1
            raise RuntimeError(fields(message[4][0])[1][0].decode())
        answer = fields(message[2][0])
        if 2 in answer:
            count.errors += 1
            raise RuntimeError(answer[2][0].decode())
        count.answers += 1
        count.answer_bytes += len(answer[1][0])
        return answer[1][0]

    # --- what it is told to do; each returns what the answer line holds

    def short(self, request):
        c = Connection(self.path)
        try:
            return c.ask(request)
        finally:
            c.close()

    def do_identify(self):
        who = fields(self.short(field(1, 0))[4][0])
        return {"id": base58(who[1][0]), "addrs": len(who[2])}

    def do_restart(self):
        """p2pd is killed, and another one started in its place: how long until it answered."""
        self.p2pd.kill()
        self.p2pd.wait()
        os.unlink(self.path)
        self.start_p2pd()
        return {"p2pd": self.p2pd.pid, "took_s": self.took_s, **self.do_identify()}

    def do_connect(self, peer, addrs):
        body = field(1, from_base58(peer)) + b"".join(field(2, multiaddr(a)) for a in addrs)
        self.short(field(1, 1) + field(2, body + field(3, 5)))
        return {}

    def do_disconnect(self, peer):
        self.short(field(1, 7) + field(7, field(1, from_base58(peer))))
        return {}

    def do_list_peers(self):
        return {"peers": sorted(base58(fields(p)[1][0]) for p in self.short(field(1, 5))[6])}

    def do_call(self, peer, name, size=10, times=1):
        for _ in range(times):
            n = len(self.call(peer, name, os.urandom(size)))
        return {"bytes": n}

    def do_say(self, peer, name, text):
        return {"back": self.call(peer, name, text.encode()).decode()}

    def do_slow(self, peer, seconds):
        start = time.monotonic()
        self.call(peer, "Test.rpc_slow", struct.pack("<d", seconds))
        return {"took_s": time.monotonic() - start}

    def do_cancel(self, peer, seconds):
        """Call, then cancel while the other one still thinks about it."""
        call = uuid.uuid4().bytes
        body = field(1, from_base58(peer)) + field(2, "Test.rpc_slow")
        self.persistent.write(field(1, call) + field(3, body + field(3, struct.pack("<d", seconds))))
        time.sleep(0.05)
        self.persistent.write(field(1, call) + field(5, b""))
        return {}

    def do_ping(self, peer):
        answer = fields(self.call(peer, PING, field(3, 1)))
        return {"dht_time": answer[4][0]}

    def do_store(self, peer, key, subkey, size=0, seconds=600, text=""):
        body = field(2, dht_key(key)) + field(3, msgpack_text(subkey))
        body += field(4, text.encode() or os.urandom(size)) + field(5, struct.pack("<d", time.time() + seconds))
        answer = fields(self.call(peer, STORE, body + field(6, b"\0")))
        return {"ok": list(answer[2][0])}

    def do_find(self, peer, key):
        answer = fields(self.call(peer, FIND, field(2, dht_key(key))))
        result = fields(answer[2][0])
        return {"found": result[1][0], "bytes": len(result[2][0]) if 2 in result else 0}

    def do_stream_handler(self, proto):
        """Listen as hivemind does, echo what comes on streams of this protocol."""
        if not self.streams:
            server = socket.socket(socket.AF_UNIX)
            server.bind(self.client_path)
            server.listen()
            threading.Thread(target=self.accept_streams, args=(server,), daemon=True).start()
            self.streams.append(server)
        self.short(field(1, 3) + field(4, field(1, multiaddr(f"/unix{self.client_path}")) +
                                       field(2, proto) + field(3, 0)))
        return {}

    def accept_streams(self, server):
        while True:
            c = Connection.__new__(Connection)
            c.sock, c.lock = server.accept()[0], threading.Lock()
            threading.Thread(target=self.echo_stream, args=(c,), daemon=True).start()

    @staticmethod
    def read_raw(c):
        head = c.read_exactly(9)
        return head[:1], c.read_exactly(int.from_bytes(head[1:], "big"))

    @staticmethod
    def write_raw(c, marker, data):
        for part in (marker, len(data).to_bytes(8, "big"), data):
            if part:
                c.write_all(part)

    def echo_stream(self, c):
        c.read()  # StreamInfo
        try:
            while True:
                marker, data = self.read_raw(c)
                self.write_raw(c, marker, data)
                if marker == b"\1":
                    break
        except (EOFError, OSError):
            pass
        c.close()

    def do_stream(self, peer, proto, sizes, text=""):
        c = Connection(self.path)
        c.ask(field(1, 2) + field(3, field(1, from_base58(peer)) + field(2, proto)))
        back = []
        for data in [*(os.urandom(size) for size in sizes), *([text.encode()] if text else [])]:
            self.write_raw(c, b"\0", data)
            back.append(len(self.read_raw(c)[1]))
        self.write_raw(c, b"\1", b"")
        self.read_raw(c)
        c.close()
        return {"back": back}

    def do_counts(self):
        return {way: {name: vars(c) for name, c in table.items()}
                for way, table in (("out", self.out), ("in", self.incoming))}

    def do_output(self):
        return {"lines": self.lines}


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--p2pd", required=True)
    p.add_argument("--dir", required=True, help="names the peer on its command line")
    p.add_argument("--uid", required=True, help="of the sockets in /tmp")
    p.add_argument("--host", default="/ip4/127.0.0.1/tcp/0")
    p.add_argument("--bootstrap", default="")
    p.add_argument("--identity", default="")
    p.add_argument("--flags", default="", help="more of p2pd's own")
    args = p.parse_args()

    def say(**what):
        print(json.dumps(what), flush=True)

    peer = Peer(args.p2pd, args.uid, args)
    try:
        say(ready=True, pid=os.getpid(), p2pd=peer.p2pd.pid, lines=peer.lines)
        for line in sys.stdin:
            command = json.loads(line)
            try:
                say(**getattr(peer, "do_" + command.pop("do"))(**command))
            except (RuntimeError, OSError, queue.Empty) as e:
                say(error=str(e) or type(e).__name__)
    finally:
        peer.p2pd.terminate()
        peer.p2pd.wait(10)
        for path in (peer.path, peer.client_path):
            if os.path.exists(path):
                os.unlink(path)


if __name__ == "__main__":
    main()
