# SPDX-License-Identifier: BSD-2-Clause
"""What the end-to-end cases are made of: an API that answers as told, an observer, nodes
(containers or plain processes), and the truth computed from the files that the nodes wrote.

Only Python's standard library. Nothing here knows how the observer works inside: it is
started as a user starts it, and judged by what arrives at the API, by its store as
`gswarm-observer events` shows it, by /health and /metrics, and by its messages.
"""

import collections
import contextlib
import gzip
import json
import os
import random
import re
import shutil
import signal
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler
from pathlib import Path

HOME = "/home/gensyn/rl_swarm"  # of a node in a container
LAUNCHER_LOG = "logs/swarm_launcher.log"
YARN_LOG = "logs/yarn.log"
WANDB_LOG = "logs/wandb/offline-run-20250925_173402-dvq6tlnf/logs/debug.log"
DATA = Path(__file__).resolve().parent.parent / "data"
IMAGE = "gswarm/node:test"


class Skip(Exception):
    """This machine cannot run the case; the text says why."""


class Env:
    """Paths and the engine, set by run.py before a case runs."""

    observer = ""  # the binary
    node = ""  # the static look-alike
    docker_socket = ""  # of the private engine; "" = there is none
    tmp = Path("/nonexistent")  # of this case, removed after it
    running = set()  # observers that nobody has ended: one that ends by itself fails the case
    cleanup = contextlib.ExitStack()


# --- small helpers ---------------------------------------------------------------


def wait_for(what, check, limit_s=15.0, step_s=0.02):
    """Wait until check() is true; return what it returned. A check that raises is not true."""
    end = time.monotonic() + limit_s
    error = None
    while True:
        for observer in Env.running:
            observer.check_alive()
        try:
            error = None
            value = check()
            if value:
                return value
        except (OSError, KeyError, ValueError, AssertionError, StopIteration) as e:
            error = e
        if time.monotonic() > end:
            raise AssertionError(f"waited {limit_s:g} s for {what}" + (f": {error}" if error else ""))
        time.sleep(step_s)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def yaml(value, indent=0):
    """A dict as block YAML; strings quoted as JSON does, which YAML understands."""
    pad = "  " * indent
    if isinstance(value, dict):
        out = ""
        for k, v in value.items():
            nested = isinstance(v, (dict, list)) and v
            out += f"{pad}{k}:" + ("\n" + yaml(v, indent + 1) if nested else f" {yaml(v)}\n")
        return out
    if isinstance(value, list) and value:
        return "".join(f"{pad}- {json.dumps(v)}\n" for v in value)
    return json.dumps(value)


def unique(prefix="gso-test"):
    return f"{prefix}-{random.randrange(16**6):06x}"


# --- the API ---------------------------------------------------------------------


class Request:
    """One POST: when, its headers (lower-case names), its body as sent, our answer's status."""

    __slots__ = ("at", "headers", "body", "status")

    def __init__(self, headers, body):
        self.at = time.monotonic()
        self.headers = headers
        self.body = body
        self.status = 0

    def events(self):
        return json.loads(self.text())

    def text(self):
        if self.headers.get("content-encoding") == "gzip":
            return gzip.decompress(self.body)
        return self.body


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body of an answer in one segment
    disable_nagle_algorithm = True

    def read_chunked(self):
        body = b""
        while True:
            head = self.rfile.readline()
            if not head.endswith(b"\n"):
                return None  # its sender was killed
            n = int(head.split(b";")[0], 16)
            body += self.rfile.read(n)
            if not self.rfile.readline():
                return None
            if n == 0:
                return body

    def do_POST(self):
        if self.headers.get("Expect", "").lower() == "100-continue":
            pass  # BaseHTTPRequestHandler has answered it
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = self.read_chunked()
            if body is None:
                self.close_connection = True
                return
        else:
            n = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(n)
            if len(body) < n:  # its sender was killed: not a request
                self.close_connection = True
                return
        request = Request({k.lower(): v for k, v in self.headers.items()}, body)
        if self.server.api.stalls():
            self.close_connection = True
            return
        status, headers = self.server.api.take(request)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format, *args):  # noqa: A002 (the base class's name)
        pass


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, api, port):
        self.api = api
        self.connections = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(self, request, client_address):
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request, client_address):
        pass  # a killed observer breaks its connections; that is what we test


class Api:
    """Takes batches of events. Answers 200 unless told otherwise by answer()."""

    def __init__(self):
        self.requests = []  # all, in the order of arrival
        self.count = 0  # events in accepted requests
        self.index = collections.defaultdict(set)  # see seen()
        self.indexed = 0  # requests
        self.plan = collections.deque()  # [status, headers, until or None, times or None]
        self.lock = threading.Lock()
        self.server = None
        self.port = 0
        self.stalled = None  # an Event: requests wait for it, and are then dropped
        self.waiting = 0  # requests that did
        self.open()
        Env.cleanup.callback(self.close)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/v1/ingest"

    def open(self):
        """Listen, or answer again."""
        if self.stalled:
            self.stalled.set()
            self.stalled = None
        if self.server:
            return
        self.server = _Server(self, self.port)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        """As if the machine had gone: nobody listens, connections break."""
        if not self.server:
            return
        if self.stalled:
            self.stalled.set()
            self.stalled = None
        server, self.server = self.server, None
        server.shutdown()
        server.server_close()
        for c in list(server.connections):
            with contextlib.suppress(OSError):
                c.shutdown(socket.SHUT_RDWR)

    def stall(self):
        """As if it hung: connections and requests are taken and never answered. Those that it
        had when open() is called are dropped then."""
        self.stalled = threading.Event()

    def stalls(self):
        """A request has come. Returns whether it is dropped, after a wait for open()."""
        stalled = self.stalled
        if not stalled:
            return False
        with self.lock:
            self.waiting += 1
        stalled.wait()
        return True

    def answer(self, status, seconds=None, times=None, **headers):
        """From now, after what was planned before: answer so for some seconds or times."""
        with self.lock:
            self.plan.append([status, {k.replace("_", "-"): v for k, v in headers.items()},
                              seconds, None, times])

    def take(self, request):
        with self.lock:
            status, headers = self.next_answer()
            request.status = status
            self.requests.append(request)
            if status < 300:
                # inside a string the quotes would be escaped
                self.count += request.text().count(b'"event_id":')
        return status, headers

    def next_answer(self):
        while self.plan:
            step = self.plan[0]
            status, headers, seconds, until, times = step
            if seconds is not None:
                if until is None:
                    until = step[3] = time.monotonic() + seconds
                if time.monotonic() < until:
                    return status, headers
            elif times:
                step[4] -= 1
                return status, headers
            self.plan.popleft()
        return 200, {}

    def events(self, accepted=True):
        """All events in the order of arrival; accepted=False: those of refused requests too."""
        return [e for r in list(self.requests) if r.status < 300 or not accepted
                for e in r.events()]

    def seen(self, node, path=LAUNCHER_LOG):
        """The offsets of a file that have been accepted. Looks at each request once."""
        while self.indexed < len(self.requests):
            request = self.requests[self.indexed]
            self.indexed += 1
            for e in request.events() if request.status < 300 else ():
                o = e.get("origin", {})
                if o.get("via") in ("file", "backfill"):
                    self.index[o.get("container_id"), o.get("path")].add(o.get("offset"))
        return self.index[node.id and node.id[:12], node.log_path(path)]

    def wait_file(self, node, n, limit_s=30.0, path=LAUNCHER_LOG):
        """Wait until n different lines of a node's file have been accepted."""
        with contextlib.suppress(AssertionError):
            wait_for(f"{n} lines", lambda: len(self.seen(node, path)) >= n, limit_s)

    def settle(self, quiet_s=1.0, limit_s=20.0):
        """Wait until nothing has come for a while: what comes twice has come by then."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            n = len(self.requests)
            time.sleep(quiet_s)
            if len(self.requests) == n:
                return


# --- the observer ----------------------------------------------------------------


class Observer:
    """`gswarm-observer run` with its own config, state and port. It sees only gso-test-*."""

    def __init__(self, api=None, config=None, args=(), prefix=()):
        self.dir = Path(tempfile.mkdtemp(prefix="observer-", dir=Env.tmp))
        self.state = self.dir / "state"
        self.port = free_port()
        self.args = list(args)
        self.prefix = list(prefix)
        self.process = None
        self.log_path = self.dir / "observer.log"
        self.config = {
            "node_id": "e2e",
            "state_dir": str(self.state),
            "forward": "all",
            "initial_tail_lines": 0,
            "batch_size": 1000,
            "targets": {
                "builtin": False,
                "include": {"container": ["gso-test-*"]},
                "docker_socket": Env.docker_socket or "/nonexistent/docker.sock",
            },
            "server": {"listen": f"127.0.0.1:{self.port}"},
            # cases count events: only those that ask for it get snapshots
            "usage": {"interval": 0},
            "system": {"poll_interval": 0},
        }
        if api:
            self.config.update(api_endpoint=api.url, auth_token="e2e-secret")
        for key, value in (config or {}).items():
            if isinstance(value, dict) and isinstance(self.config.get(key), dict):
                self.config[key] = {**self.config[key], **value}
            else:
                self.config[key] = value
        self.config_path = self.dir / "config.yaml"
        self.config_path.write_text(yaml(self.config))
        Env.cleanup.callback(self.kill)

    def start(self, ready=True):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, Env.observer, "run", "-c", str(self.config_path), *self.args],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.dir)
        Env.running.add(self)
        if ready:
            self.wait_ready()
        return self

    def wait_ready(self):
        wait_for("/health", self.health, 20)

    def check_alive(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"the observer ended by itself with {self.process.returncode}")

    def wait_end(self, limit_s=10):
        """It will end by itself; returns its exit code."""
        Env.running.discard(self)
        return self.process.wait(limit_s)

    def get(self, path):
        url = f"http://127.0.0.1:{self.port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=5) as r:
                return r.read().decode()
        except urllib.error.HTTPError as e:  # /health may answer 503 and still have a body
            return e.read().decode()

    def health(self):
        return json.loads(self.get("/health"))

    @contextlib.contextmanager
    def standing_still(self):
        """It is stopped meanwhile, as on a machine that has no time for it: rings overflow."""
        os.kill(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.process.pid, signal.SIGCONT)

    def metrics(self):
        """{'gswarm_lines_total{place="captured"}': 12.0, …}"""
        out = {}
        for line in self.get("/metrics").splitlines():
            m = re.fullmatch(r"(\w+(?:\{[^}]*\})?) (\S+)(?: \d+)?", line)
            if m and not line.startswith("#"):
                out[m[1]] = float(m[2])
        return out

    def log(self):
        return self.log_path.read_text(errors="replace")

    def stop(self, sig=signal.SIGTERM, limit_s=10):
        """Send a signal; return (exit code, seconds until the end)."""
        start = time.monotonic()
        self.process.send_signal(sig)
        return self.wait_end(limit_s), time.monotonic() - start

    def kill(self):
        """kill -9, if it is still there."""
        Env.running.discard(self)
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def stored(self):
        """Every event in the store, in order, as `gswarm-observer events` prints them."""
        out = subprocess.run([Env.observer, "events", "--state-dir", str(self.state), "--all"],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        assert out.returncode == 0, f"events: exit {out.returncode}: {out.stderr.decode()}"
        return [json.loads(line) for line in out.stdout.splitlines()]


def observer_cmd(*args, timeout=30, prefix=(), **kw):
    """Run a command of the observer to its end; returns the CompletedProcess, text."""
    return subprocess.run([*prefix, Env.observer, *map(str, args)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=timeout, **kw)


# --- nodes -----------------------------------------------------------------------


def descendants(pid):
    children = collections.defaultdict(list)
    for p in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            stat = (p / "stat").read_text()
            children[int(stat[stat.rindex(")") + 2:].split()[1])].append(int(p.name))
    found, todo = [], [pid]
    while todo:
        found += (now := children[todo.pop()])
        todo += now
    return found


class Node:
    """What a container and a process tree have in common: they write files below a root."""

    pid = 0  # of the launcher, in our namespace
    container = None  # name; None = plain processes
    id = None  # container id, 64 hex
    home = HOME  # the node's directory, as the node sees it

    def root(self):
        return f"/proc/{self.pid}/root"

    def glob(self):
        """A command-line pattern of this node's processes (of no other, if its home is its own)."""
        return f"*{self.home}*"

    def log_path(self, path=LAUNCHER_LOG):
        """As the node sees it, which is how events tell it."""
        return f"{self.home}/{path}"

    def read(self, path=LAUNCHER_LOG):
        return Path(self.root() + self.log_path(path)).read_bytes()

    def lines(self, path=LAUNCHER_LOG):
        """The truth: [(offset, text)] of the lines in a file."""
        return split_lines(self.read(path))

    def gate(self):
        # before that the signal would be lost
        wait_for("the launcher", lambda: Path(f"/proc/{self.pid}/cmdline").read_bytes()
                 .startswith(b"bash\0"), 5)
        os.kill(self.pid, signal.SIGUSR1)

    def process(self, role):
        """Pid of "trainer", "server" or "p2pd"."""
        want = {"trainer": b"swarm_launcher", "server": b"next\0start", "p2pd": b"-autoRelay=0"}

        def find():
            pids = [p for p in descendants(self.pid)
                    if want[role] in Path(f"/proc/{p}/cmdline").read_bytes()]
            return min(pids) if pids else 0  # the trainer came before its fork, the DHT

        return wait_for(f"the node's {role}", find, 5)

    def wait_written(self, n, limit_s=60, path=LAUNCHER_LOG):
        """Wait until the node's file holds n lines."""
        wait_for(f"{n} lines in {path}", lambda: self.read(path).count(b"\n") >= n, limit_s, 0.05)


def skip_beside_other_nodes():
    """For cases that use the built-in patterns: tests observe only what they started."""
    for p in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            program, *args = p.read_bytes().split(b"\0")
            # what is run, not what is talked of: a build's command line names test_p2pd
            runs = [os.path.basename(program)] + [a.rsplit(b"/")[-1] for a in args[:3]]
            if any(re.search(rb"(^|[.])(swarm_launcher|train_single_gpu|run_rl_swarm.*)(\.py)?$|^p2pd$", r)
                   for r in runs):
                raise Skip(f"a node that is not ours runs here: {program + b' ' + b' '.join(args)[:60]!r}")


def docker(*args, check=True, timeout=60):
    out = subprocess.run(["docker", "-H", f"unix://{Env.docker_socket}", *map(str, args)],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True, timeout=timeout)
    if check and out.returncode != 0:
        raise RuntimeError(f"docker {' '.join(map(str, args))}: {out.stderr.strip()}")
    return out.stdout.strip()


class ContainerNode(Node):
    def __init__(self, script="", *args, name=None, tty=False, home=None, opts=()):
        self.container = name or unique()
        opts = [*opts, "-t"] if tty else [*opts]
        if home:
            self.home = home
            args = ("--dir", home, *args)
        self.id = docker("run", "-d", "--name", self.container, "--network", "none", *opts, IMAGE,
                         "--script", script, "--hold", *args)
        Env.cleanup.callback(lambda: docker("rm", "-f", self.id, check=False))
        self.pid = int(docker("inspect", "-f", "{{.State.Pid}}", self.id))

    def remove(self):
        docker("rm", "-f", self.id)


class ProcessNode(Node):
    """Plain processes; home lies in the case's directory, so command lines name it."""

    def __init__(self, script="", *args, preexec_fn=None):
        self.home = tempfile.mkdtemp(prefix="gso-test-node-", dir=Env.tmp)
        os.chmod(self.home, 0o755)
        self.out_path = Path(self.home) / "console.txt"
        with open(self.out_path, "wb") as out:
            self.popen = subprocess.Popen(
                [Env.node, "--dir", self.home, "--script", script, "--hold", *map(str, args)],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=preexec_fn)
        self.pid = self.popen.pid
        Env.cleanup.callback(self.remove)

    def root(self):
        return ""

    def remove(self):
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(5)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()


# --- the truth, and comparing with it --------------------------------------------

PREFIX_G3 = re.compile(r"^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\]\[[^\]]*\]\[[A-Z]+\] - ")
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def split_lines(data):
    """[(byte offset, text)] of the finished, not empty lines, split on \\n and on \\r."""
    out, at = [], 0
    for m in re.finditer(rb"[^\r\n]*[\r\n]", data):
        text = m[0][:-1].decode("utf-8", "replace")
        if text:
            out.append((m.start(), text))
        at = m.end()
    assert at == len(data) or b"\n" not in data[at:]
    return out


def message_of(text):
    """The message part of a line: no prefix, no ANSI codes."""
    return ANSI.sub("", PREFIX_G3.sub("", text))


def g3(message, level="INFO", logger="genrl.logging_utils.global_defs",
       at="2025-09-25 17:35:18,616"):
    """A line of the trainer's log, for scripts: long ago, always the same."""
    return f"[{at}][{logger}][{level}] - {message}"


def g3_now(message, level="INFO", logger="genrl.logging_utils.global_defs"):
    """The same with the time at which the look-alike writes it. Of a line that stands in the
    file before its node is known, this says that it is not of an earlier life."""
    return g3(message, level, logger, "%{time}")


def script_lines(tag, n, delay_ms=0, place="file"):
    """Script text: n lines that can be told apart."""
    return "".join(f"{place} {delay_ms} {g3(f'{tag} {i}')}\n" for i in range(n))


def of_node(events, node):
    if node.container is None:
        return [e for e in events if e.get("origin", {}).get("path", "").startswith(node.home)]
    return [e for e in events if e.get("origin", {}).get("container_id") == node.id[:12]]


def of_file(events, node, path=LAUNCHER_LOG):
    """Events that stand for a line of one of the node's files."""
    want = node.log_path(path)
    return [e for e in of_node(events, node)
            if e["origin"].get("path") == want and e["origin"].get("via") in ("file", "backfill")]


def check_file(events, node, path=LAUNCHER_LOG, expected=None, messages=True):
    """Each line of the file is in events exactly once, with its offset and its text, and
    nothing else is. Returns the file's events."""
    expected = node.lines(path) if expected is None else expected
    events = of_file(events, node, path)
    want = collections.Counter((at, message_of(text) if messages else "") for at, text in expected)
    have = collections.Counter((e["origin"]["offset"],
                                e["details"].get("message", "") if messages else "")
                               for e in events)
    if want != have:
        missing, extra = want - have, have - want
        twice = [k for k, n in have.items() if n > want.get(k, 1)]
        raise AssertionError(
            f"{node.container or node.home} {path}: {sum(want.values())} lines written, "
            f"{sum(have.values())} events; {sum(missing.values())} missing, "
            f"{sum(extra.values())} too many ({len(twice)} of them repeated)\n"
            f"  missing: {sorted(missing)[:5]}\n  too many: {sorted(extra)[:5]}")
    ids = collections.Counter(e["event_id"] for e in events)
    again = [i for i, n in ids.items() if n > 1]
    assert not again, f"{len(again)} event_ids stand for several lines, such as {again[0]}"
    return events


def check_order(events, node, path=LAUNCHER_LOG):
    """Events of one stream come in the order in which they were written."""
    offsets = [e["origin"]["offset"] for e in of_file(events, node, path)]
    for a, b in zip(offsets, offsets[1:]):
        assert a < b, f"{path}: offset {b} came after {a}"


def check_origin(events, node, comm="python", role="trainer", via=None):
    """Events that came by a captured write tell who wrote them, and in what container."""
    pid = node.process(role)
    for e in events:
        o = e["origin"]
        if node.container:
            assert o.get("container") == node.container, f"container: {o}"
            assert o.get("container_id") == node.id[:12], f"container_id: {o}"
        if via:
            assert o["via"] == via, f"via is not {via}: {o}"
        if o["via"] == "file":
            assert o.get("pid") == pid, f"pid is not {pid}: {o}"
            assert o.get("comm") == comm, f"comm is not {comm}: {o}"


TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def check_shape(events):
    """What docs/events.md promises of every event."""
    for e in events:
        for key in ("event_id", "node_id", "timestamp", "event_type", "details"):
            assert key in e, f"no {key}: {e}"
        assert TIMESTAMP.fullmatch(e["timestamp"]), f"timestamp: {e}"
        assert e["details"].get("event"), f"no details.event: {e}"
        assert None not in e["details"].values(), f"null: {e}"


def check_ledger(metrics, delivered=True):
    """DESIGN's equations: captured + backfilled = parsed, parsed + emitted = stored + filtered,
    stored = delivered + waiting + evicted."""

    def get(name, default=None):
        assert name in metrics or default is not None, f"/metrics has no {name}"
        return metrics.get(name, default)

    lines = get('gswarm_lines_total{place="captured"}') + get('gswarm_lines_total{place="backfilled"}')
    assert lines == get("gswarm_lines_parsed_total"), \
        f"captured + backfilled = {lines}, parsed = {metrics['gswarm_lines_parsed_total']}"
    parsed = get('gswarm_events_total{place="parsed"}')
    parsed += get('gswarm_events_total{place="emitted"}', 0.0)
    stored = get('gswarm_events_total{place="stored"}')
    filtered = get('gswarm_events_total{place="filtered"}', 0.0)
    filtered += get('gswarm_events_total{place="refused"}', 0.0)
    filtered += get('gswarm_events_total{place="collapsed"}', 0.0)
    assert parsed == stored + filtered, f"parsed {parsed} = stored {stored} + filtered {filtered}"
    if not delivered:
        return
    sinks = {re.search(r'sink="([^"]*)"', k)[1] for k in metrics if 'sink="' in k}
    assert sinks, "/metrics shows no sink"
    for sink in sinks:
        def of_sink(word):
            rows = [v for k, v in metrics.items()
                    if f'sink="{sink}"' in k and f'place="{word}"' in k]
            assert rows, f'/metrics has no row with sink="{sink}" and place="{word}"'
            return sum(rows)

        parts = [of_sink(w) for w in ("delivered", "dead_lettered", "evicted", "waiting")]
        assert stored + of_sink("inherited") == sum(parts), \
            f"sink {sink}: stored {stored} + inherited = delivered + dead_lettered + evicted + waiting {parts}"
