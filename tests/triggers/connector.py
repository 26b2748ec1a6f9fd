#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A process that connects as it is told: one JSON command a line on stdin, one answer a line on
stdout. Its other arguments are only there to be found by.

Sockets have names. Commands: listen, connect, accept, send, recv, close, reset, shutdown, fork, pass,
storm, try, dial, echo, dns, lookup, udp, udp_child, hello, log."""

import array
import errno
import json
import os
import resource
import socket
import ssl
import struct
import sys
import threading
import time

SOCKETS = {}
FAMILIES = {"4": socket.AF_INET, "6": socket.AF_INET6}


def new_socket(cmd):
    protocol = socket.IPPROTO_MPTCP if cmd.get("mptcp") else 0
    s = socket.socket(FAMILIES[cmd.get("family", "4")], socket.SOCK_STREAM, protocol)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if cmd.get("reuseport"):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if "rcvbuf" in cmd:  # those that are accepted have it, too
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, cmd["rcvbuf"])
    if cmd.get("dual") is not None:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    if "bind" in cmd:
        s.bind(tuple(cmd["bind"]))
    return s


def names(s):
    return {"local": s.getsockname()[:2], "remote": s.getpeername()[:2]}


def listen(cmd):
    s = SOCKETS[cmd["as"]] = new_socket(cmd)
    s.listen(cmd.get("backlog", 128))
    return {"local": s.getsockname()[:2]}


def connect(cmd):
    s = new_socket(cmd)
    s.settimeout(cmd.get("timeout_s"))
    start = time.monotonic()
    try:
        s.connect(tuple(cmd["to"]))
    except OSError as e:
        s.close()
        return {"error": errno.errorcode.get(e.errno, "given up"), "ms": (time.monotonic() - start) * 1e3}
    s.settimeout(None)
    SOCKETS[cmd["as"]] = s
    return names(s)


def try_to(cmd):
    """Connects that fail: {error: times}."""
    found = {}
    for _ in range(cmd["times"]):
        said = connect({**cmd, "as": "tried"}).get("error", "connected")
        found[said] = found.get(said, 0) + 1
    return found


def accept(cmd):
    s, _ = SOCKETS[cmd["from"]].accept()
    SOCKETS[cmd["as"]] = s
    return names(s)


def send(cmd):
    SOCKETS[cmd["on"]].sendall(b"x" * cmd["bytes"])
    return {}


def recv(cmd):
    n = 0
    while n < cmd["bytes"] and (got := SOCKETS[cmd["on"]].recv(65536)):
        n += len(got)
    return {"bytes": n}


def close(cmd):
    SOCKETS.pop(cmd["on"]).close()
    return {}


def shutdown(cmd):
    SOCKETS[cmd["on"]].shutdown(socket.SHUT_WR)
    return {}


def reset(cmd):
    s = SOCKETS.pop(cmd["on"])
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
    return {}


def fork(cmd):
    """A child that keeps the socket, which we close."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(w)
        os.read(r, 1)  # until we end
        os._exit(0)
    os.close(r)
    SOCKETS[f"pipe of {pid}"] = os.fdopen(w, "wb")
    SOCKETS.pop(cmd["on"]).close()
    return {"pid": pid}


def pass_on(cmd):
    """The same by SCM_RIGHTS, to a child that was there before the socket."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    pid = os.fork()
    if pid == 0:
        ours.close()
        for s in SOCKETS.values():
            s.close()
        data = theirs.recvmsg(1, socket.CMSG_SPACE(4))
        theirs.send(b"k")
        theirs.recv(1)  # until we end
        os._exit(len(data))
    theirs.close()
    s = SOCKETS.pop(cmd["on"])
    ours.sendmsg([b"f"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [s.fileno()]))])
    ours.recv(1)
    s.close()
    SOCKETS[f"line to {pid}"] = ours
    return {"pid": pid}


def storm(cmd):
    """Connect, be accepted, close, at once, again. To a listener of our own."""
    to = SOCKETS[cmd["from"]].getsockname()
    n = 0
    for _ in range(cmd["times"]):
        s = socket.socket()
        s.connect(to)
        peer, _ = SOCKETS[cmd["from"]].accept()
        if cmd.get("reset"):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()
        peer.close()
        n += 1
    return {"times": n}


def dial(cmd):
    """To our own listener, each time at another address of loopback: 127.0.0.1, .2, … Held, or closed."""
    n = 0
    for i in range(1, cmd["times"] + 1):
        s = socket.create_connection((f"127.0.{i >> 8}.{i & 255}", cmd["port"]))
        peer, _ = SOCKETS[cmd["from"]].accept()
        if cmd.get("close"):
            s.close()
            peer.close()
        else:
            SOCKETS[f"dialled {i}"], SOCKETS[f"taken {i}"] = s, peer
        n += 1
    return {"times": n}


def udp_socket(at):
    s = socket.socket(socket.AF_INET6 if ":" in at[0] else socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(tuple(at))
    return s


def serve(at, answer):
    s = udp_socket(at)

    def run():
        while True:
            data, who = s.recvfrom(65536)
            s.sendto(answer(data), who)

    threading.Thread(target=run, daemon=True).start()
    return {}


def echo(cmd):
    return serve(cmd["at"], lambda data: data)


def dns(cmd):
    """Every name is at this address: the question again, and an A record that points to its name."""
    ip = socket.inet_aton(cmd["ip"])
    return serve(cmd["at"], lambda q: q[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + q[12:]
                 + b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + ip)


def lookup(cmd):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        name = b"".join(bytes([len(x)]) + x.encode() for x in cmd["name"].split(".")) + b"\0"
        s.sendto(b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + name + b"\0\1\0\1", tuple(cmd["at"]))
        return {"bytes": len(s.recv(512))}


def udp(cmd):
    """Send, and wait for each answer."""
    s = SOCKETS.get(cmd["as"]) or udp_socket(cmd["bind"])
    SOCKETS[cmd["as"]] = s
    s.settimeout(5)
    n = 0
    for _ in range(cmd["packets"]):
        s.sendto(bytes.fromhex(cmd["hex"]), tuple(cmd["to"]))
        n += len(s.recv(65536)) > 0
    return {"answers": n}


def udp_child(cmd):
    """The same by a child, which lives as long as we do."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(w)
        udp({"as": "child", **cmd})
        os.read(r, 1)
        os._exit(0)
    os.close(r)
    SOCKETS[f"pipe of {pid}"] = os.fdopen(w, "wb")
    return {"pid": pid}


def udp_open(cmd):
    """A UDP socket, connected if it is told with whom."""
    s = SOCKETS[cmd["as"]] = udp_socket(cmd["bind"])
    if "to" in cmd:
        s.connect(tuple(cmd["to"]))
    return {}


def hello(cmd):
    """A real ClientHello, and no more of TLS."""
    out = ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname=cmd["name"])
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    SOCKETS[cmd["on"]].sendall(out.read())
    return {}


def log(cmd):
    """A line in a log, as a trainer has one."""
    os.makedirs(os.path.dirname(cmd["path"]), exist_ok=True)
    with open(cmd["path"], "a") as f:
        f.write(cmd["line"] + "\n")
    return {}


COMMANDS = {"log": log, "echo": echo, "dns": dns, "lookup": lookup, "udp": udp, "udp_open": udp_open,
            "udp_child": udp_child, "hello": hello,
            "listen": listen, "connect": connect, "accept": accept, "send": send, "recv": recv,
            "close": close, "reset": reset, "shutdown": shutdown, "fork": fork, "pass": pass_on,
            "storm": storm, "try": try_to, "dial": dial}


def main():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 16384), most))
    print(json.dumps({"pid": os.getpid()}), flush=True)
    for line in sys.stdin:
        cmd = json.loads(line)
        try:
            answer = COMMANDS[cmd["do"]](cmd)
        except OSError as e:
            answer = {"error": str(e)}
        print(json.dumps(answer), flush=True)


main()
