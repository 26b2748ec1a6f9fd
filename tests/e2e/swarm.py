# SPDX-License-Identifier: BSD-2-Clause
"""Swarms for tests: peers with a real p2pd (hivemind's release, fetched once into a cache), each a
process tree of its own; network namespaces to put them in.

    peers = swarm(3)                          # started, connected to the first
    peers[1].do("ping", peer=peers[0].id)     # see swarm_peer.py for what they can do
    Observer(api, {"targets": {"include": {"command": [peers[0].glob()]}}})

With Netns each stands alone: swarm(2, netns=[a, b]) and so on.
"""

import contextlib
import json
import os
import queue
import random
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from harness import IMAGE, Env, Skip, descendants, docker, unique, wait_for

HERE = Path(__file__).resolve().parent
SCRIPTS = HERE.parent.parent / "scripts"


def p2pd_path():
    """The real program, or Skip where it cannot be had (no network, another architecture)."""
    out = subprocess.run([SCRIPTS / "fetch-p2pd.sh"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         text=True, timeout=120)
    if out.returncode != 0:
        raise Skip(f"no real p2pd: {out.stderr.strip().splitlines()[-1:]}")
    return out.stdout.strip()


class Netns:
    """A network namespace with its own loopback, removed after the case."""

    def __init__(self):
        self.name = f"gso-test-{random.randrange(16**6):06x}"
        self.ip("netns", "add", self.name)
        Env.cleanup.callback(self.remove)
        self.ip("-n", self.name, "link", "set", "lo", "up")

    @staticmethod
    def ip(*args):
        subprocess.run(["ip", *args], check=True, stdout=subprocess.PIPE, timeout=20)

    def run(self, *args):
        out = subprocess.run(["ip", "netns", "exec", self.name, *args], check=True,
                             stdout=subprocess.PIPE, text=True, timeout=20)
        return out.stdout

    def remove(self):
        subprocess.run(["ip", "netns", "del", self.name], stderr=subprocess.DEVNULL, timeout=20)


class Driven:
    """A process that takes JSON lines and answers each by one."""

    def __init__(self, argv, netns=None, limit_s=60, env=None, stderr=subprocess.DEVNULL):
        prefix = ["ip", "netns", "exec", netns.name] if netns else []
        drained = stderr == "drain"  # a pipe, as a console is, whose words nobody needs
        self.process = subprocess.Popen([*prefix, *map(str, argv)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, errors="replace",
                                        stderr=subprocess.PIPE if drained else stderr,
                                        env={**os.environ, **(env or {})})
        Env.cleanup.callback(self.stop)
        if drained:
            threading.Thread(target=self.process.stderr.read, daemon=True).start()
        self.answers = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()
        self.hello = self.answer(limit_s)

    def read(self):
        for line in self.process.stdout:
            with contextlib.suppress(ValueError):
                self.answers.put(json.loads(line))
        self.answers.put(None)

    def answer(self, limit_s):
        try:
            got = self.answers.get(timeout=limit_s)
        except queue.Empty:
            raise AssertionError(f"no answer from a peer within {limit_s} s") from None
        if got is None:
            raise AssertionError(f"a peer ended: {self.process.wait(5)}")
        return got

    def send(self, what, **args):
        self.process.stdin.write(json.dumps({"do": what, **args}) + "\n")
        self.process.stdin.flush()

    def do(self, what, limit_s=60, **args):
        """Tell it, and wait for its answer; {"error": …} when it failed."""
        self.send(what, **args)
        return self.answer(limit_s)

    def stop(self):
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
            return
        for pid in [*descendants(self.process.pid), self.process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(5)


class P2pdPeer(Driven):
    """swarm_peer.py with its own p2pd."""

    def __init__(self, bootstrap=(), netns=None, host="/ip4/127.0.0.1/tcp/0", env=None, flags=""):
        self.dir = tempfile.mkdtemp(prefix="gso-test-peer-", dir=Env.tmp)
        self.uid = "gso" + os.urandom(4).hex()
        self.n_hosts = len(host.split(","))
        super().__init__([sys.executable, HERE / "swarm_peer.py", "--p2pd", p2pd_path(), "--dir", self.dir,
                          "--uid", self.uid, "--host", host, "--bootstrap", ",".join(bootstrap),
                          f"--flags={flags}"],
                         netns, env=env)
        Env.cleanup.callback(self.clean)
        self.pid = self.hello["pid"]
        self.p2pd = self.hello["p2pd"]
        self.id = self.do("identify")["id"]
        self.addrs = self.visible()

    def clean(self):
        for word in ("p2pd", "p2pclient"):
            Path(f"/tmp/hivemind-{word}-{self.uid}.sock").unlink(missing_ok=True)

    def visible(self):
        """p2pd's own word: its "Peer Addrs:" lines, with its id. It answers before it has said them."""
        return wait_for("p2pd's addresses", self.said_addrs, 30)

    def said_addrs(self):
        lines = self.do("output")["lines"]
        at = lines.index("Peer Addrs:") if "Peer Addrs:" in lines else len(lines)
        addrs = []
        for line in lines[at + 1:]:
            if not line.startswith("/"):
                break
            addrs.append(f"{line}/p2p/{self.id}" if "/p2p/" not in line else line)
        return addrs if len(addrs) >= self.n_hosts else None

    def glob(self):
        """For targets.include.command: this peer's tree and no other."""
        return f"*{self.dir}*"


def hivemind_python():
    """A Python that has the real hivemind (scripts/fetch-hivemind.sh), or Skip."""
    out = subprocess.run([SCRIPTS / "fetch-hivemind.sh", "--have"], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True, timeout=120)
    if out.returncode != 0:
        raise Skip(f"no hivemind: {out.stderr.strip()}")
    return out.stdout.strip()


class HivemindPeer(Driven):
    """hivemind_peer.py: a real DHT process with its p2pd, as RL-Swarm's trainer has. In a container
    (its name) it finds the programs of this machine, mounted by hivemind_container()."""

    def __init__(self, bootstrap=(), netns=None, host="/ip4/127.0.0.1/tcp/0", container=None):
        self.dir = tempfile.mkdtemp(prefix="gso-test-hivemind-", dir=Env.tmp)
        prefix = ["docker", "-H", f"unix://{Env.docker_socket}", "exec", "-i", "-e", "OMP_NUM_THREADS=1",
                  container] if container else []
        super().__init__([*prefix, hivemind_python(), HERE / "hivemind_peer.py", "--dir", self.dir,
                          "--host", host, "--bootstrap", ",".join(bootstrap)],
                         netns, limit_s=120, env={"OMP_NUM_THREADS": "1"})
        self.pid = self.hello["pid"]  # in its container
        self.container = container
        self.node = container or self.pid  # as metrics name it
        me = self.do("addrs")
        self.id, self.addrs = me["id"], me["addrs"]

    def glob(self):
        return f"*{self.dir}*"


def comm(pid):
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def p2pd_of(peer):
    """The pid, on this machine, of a HivemindPeer's p2pd."""
    if not peer.container:
        return next(pid for pid in descendants(peer.pid) if comm(pid) == "p2pd")
    top = docker("top", peer.container, "-o", "pid,comm")
    return next(int(line.split()[0]) for line in top.splitlines() if line.split()[1] == "p2pd")


def hivemind_container():
    """A container without a network, whose only process waits: (name, pid of that one)."""
    name = unique()
    python = Path(hivemind_python())
    mounts = ["/usr", "/lib", "/lib64", "/etc/alternatives", "/etc/ld.so.cache", python.parents[2], HERE]
    docker("run", "-d", "--name", name, "--network", "none", "--user", "0:0", "--entrypoint", "/bin/sleep",
           *(x for m in mounts if Path(m).exists() for x in ("-v", f"{m}:{m}:ro")),
           "-v", f"{Env.tmp}:{Env.tmp}", IMAGE, "600")
    Env.cleanup.callback(lambda: docker("rm", "-f", name, check=False))
    return name, int(docker("inspect", "-f", "{{.State.Pid}}", name))


def swarm(n, netns=None, **kw):
    """n peers; all but the first have it as their bootstrap peer."""
    netns = netns or [None] * n
    peers = [P2pdPeer(netns=netns[0], **kw)]
    for i in range(1, n):
        peers.append(P2pdPeer(peers[0].addrs, netns[i], **kw))
    return peers
