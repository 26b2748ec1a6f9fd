# SPDX-License-Identifier: BSD-2-Clause
"""`top`: on a real terminal (a pty), through a pipe, and with nodes that call themselves what a
terminal would obey."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import termios
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cases import case
from harness import Api, ContainerNode, Env, Observer, g3_now, observer_cmd, wait_for

HOSTILE = "\x1b]0;owned\x07\x9b2J\u202e\x7fn\u00f6de"
TIDY = "?]0;owned??2J??n\u00f6de"
SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def a_node(name, state="training", **more):
    return {"name": name, "container_id": "", "state": state, "for_s": 90.0, "round": 7,
            "earning": "yes", "earning_reason": "yes: a submission was taken 4 s ago",
            "events": 10, "errors": 0, **more}


class Daemon:
    """Answers /api/v1/nodes with what it is given."""

    def __init__(self, *nodes):
        self.nodes, self.asked = list(nodes), 0
        daemon = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                daemon.asked += 1
                body = json.dumps({"node_id": "t", "nodes": daemon.nodes}).encode()
                self.send_response(200 if self.path == "/api/v1/nodes" else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        Env.cleanup.callback(self.close)

    def close(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None


class Terminal:
    """A command on a pty."""

    def __init__(self, *args, size=(24, 160)):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execv(Env.observer, [Env.observer, *args])
        self.resize(*size)
        self.text = ""
        self.before = termios.tcgetattr(self.fd)
        Env.cleanup.callback(self.end)

    def resize(self, lines, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read(self):
        while select.select([self.fd], [], [], 0.02)[0]:
            try:
                data = os.read(self.fd, 65536)
            except OSError:  # nobody is there any more
                break
            if not data:
                break
            self.text += data.decode()
        return self.text

    def screens(self):
        """What was drawn, one text per screen, without sequences."""
        return [SEQUENCE.sub("", s) for s in self.read().split("\x1b[H")[1:]]

    def wait(self, what, check):
        return wait_for(what, lambda: self.screens() and check(self.screens()[-1]), 15)

    def press(self, key):
        os.write(self.fd, key.encode())

    def status(self):
        def ended():
            self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            return [os.waitstatus_to_exitcode(status)] if pid else None
        code = wait_for("its end", ended, 10)[0]
        self.pid = 0
        return code

    def end(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


def order(screen, *names):
    return sorted(names, key=screen.index)


@case(needs=())
def terminal():
    """it takes the screen, looks again, sorts, follows the window's size, and gives all back at q"""
    daemon = Daemon(a_node("aa", cpu_percent=1.5), a_node("bb", "hung", sub_state="pipe", earning="no"),
                    a_node("cc", cpu_percent=99.25, memory_bytes=3_200_000_000, peers_connected=5))
    t = Terminal("top", "--url", daemon.url, "--delay", "0.1")
    first = t.wait("the table", lambda s: "cc" in s)
    assert order(t.screens()[0], "aa ", "bb ", "cc ")[0] == "bb ", t.screens()[0]  # trouble first
    assert "hung/pipe" in t.screens()[0] and "3.2 GB" in t.screens()[0], first
    assert "\x1b[?1049h" in t.text and "\x1b[?25l" in t.text and "\x1b[31m" in t.text, t.text
    daemon.nodes[0].update(events=1010, state="waiting")
    t.wait("a new look", lambda s: "waiting" in s)
    t.press("c")
    t.wait("by CPU", lambda s: "by cpu" in s and s.index("cc ") < s.index("aa ") < s.index("bb "))
    t.press("n")
    t.wait("by name", lambda s: "by name" in s and s.index("aa ") < s.index("bb ") < s.index("cc "))
    t.resize(6, 60)
    t.wait("what does not fit", lambda s: "(1 more)" in s)
    t.press("q")
    assert t.status() == 0
    assert t.text.rstrip().endswith("\x1b[?1049l") and "\x1b[?25h" in t.text, t.text[-80:]


@case(needs=())
def rates():
    """events per second come from two answers"""
    daemon = Daemon(a_node("aa"))
    t = Terminal("top", "--url", daemon.url, "--delay", "0.2")
    t.wait("the table", lambda s: "aa" in s)
    wait_for("some answers", lambda: daemon.asked >= 2, 10)
    daemon.nodes[0].update(events=100_000)
    t.wait("a rate", lambda s: re.search(r" \d{5,}\.\d +0 yes", s))
    t.wait("no rate", lambda s: re.search(r" 0\.0 +0 yes", s))
    os.kill(t.pid, signal.SIGTERM)
    assert t.status() == 0 and "\x1b[?1049l" in t.text


@case(needs=())
def daemon_goes_away():
    """the daemon ends and comes again: the last table stays, with a word about it"""
    daemon = Daemon(a_node("aa"))
    t = Terminal("top", "--url", daemon.url, "--delay", "0.1")
    t.wait("the table", lambda s: "aa" in s)
    daemon.close()
    t.wait("a word", lambda s: "NO ANSWER" in s and "aa" in s)
    assert "is the daemon running" not in t.text, t.text
    t.press("q")
    assert t.status() == 0


@case(needs=())
def hostile():
    """what a node calls itself does not steer the terminal: not in top, nodes or a pipe"""
    daemon = Daemon(a_node(HOSTILE, earning_reason=HOSTILE, reason=HOSTILE))
    for args in (("top", "--once"), ("nodes", "--long")):
        out = observer_cmd(*args, "--url", daemon.url)
        assert out.returncode == 0 and TIDY in out.stdout, out
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", out.stdout), out.stdout
    t = Terminal("top", "--url", daemon.url)
    t.wait("the table", lambda s: TIDY in s)
    assert "owned\x07" not in t.text and "\x9b" not in t.text, t.text
    t.press("q")
    assert t.status() == 0


@case(needs=())
def pipe():
    """through a pipe: one plain table, no sequence; --json: the answer as it is; errors: exit codes"""
    daemon = Daemon(a_node("zz"), a_node("bb"))
    out = observer_cmd("top", "--url", daemon.url, "--sort", "name")
    assert out.returncode == 0 and "\x1b" not in out.stdout, out
    lines = out.stdout.splitlines()
    assert lines[0].startswith("NODE") and [x[:2] for x in lines[1:]] == ["bb", "zz"], lines
    assert lines[1].endswith("yes: a submission was taken 4 s ago"), lines
    out = observer_cmd("top", "--url", daemon.url, "--json")
    assert json.loads(out.stdout)["nodes"] == daemon.nodes
    assert observer_cmd("top", "--sort", "beauty").returncode == 2
    assert observer_cmd("top", "--delay", "never").returncode == 2
    out = observer_cmd("top", "--url", "http://127.0.0.1:9")
    assert out.returncode == 1 and "is the daemon running" in out.stderr, out
    daemon.nodes.clear()
    assert "no node has been found" in observer_cmd("top", "--url", daemon.url).stdout


@case()
def real():
    """of a real observer: what the node uses stands in the table"""
    observer = Observer(Api(), {"usage": {"interval": "1s"}}).start()
    node = ContainerNode(f"file 0 {g3_now('🐝 Joining round: 30512')}\n"
                         f"file 0 {g3_now('Exception occurred during game run.', 'ERROR')}\nspin 60000\n")

    def row():
        out = observer_cmd("top", "-c", observer.config_path, "--once").stdout
        return next((x for x in out.splitlines() if x.startswith(node.container)), "")

    def busy():  # "-" until two looks were made
        shown = row()
        found = re.search(r" 30512 +(\d+\.\d) ", shown)
        assert found and float(found[1]) > 20, shown or observer_cmd("top", "-c", observer.config_path, "--once")
        return True
    wait_for("its CPU", busy, 30)
    assert re.search(r" \d+ [kM]B ", row()) and "30512" in row(), row()
    shown = json.loads(observer.get("/api/v1/nodes"))["nodes"][0]
    assert shown["memory_bytes"] > 1 << 16 and shown["processes"] >= 4, shown
    assert "peers_connected" in shown and shown["errors"] >= 1, shown
