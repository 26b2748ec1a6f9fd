# SPDX-License-Identifier: BSD-2-Clause
"""A private containerd with its CRI plugin, spoken to as a kubelet does: pods, containers, and their logs.

Cri() starts one, with a directory, a socket and a mount namespace of its own; pods use the host's network, so that no
CNI is needed. gRPC is an HTTP/2 POST of a length and a protobuf message (runtime.v1 of k8s.io/cri-api): curl and a few
lines do for the handful of calls.
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
import struct
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path

from harness import Env, Node, Skip, descendants, unique, wait_for

PREFIX = "gso-cri."
PAUSE, NODE = "docker.io/gso/pause:test", "docker.io/gso/node:test"
NAMESPACE = "k8s.io"  # containerd's, of all that comes by CRI
NODE_NETWORK = 2  # enum NamespaceMode
LINKS = Path("/var/log/containers")

CONFIG = """version = 2
root = "{dir}/root"
state = "{dir}/state"
[grpc]
  address = "{dir}/c.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
  [plugins."io.containerd.grpc.v1.cri".cni]
    conf_dir = "{dir}/none"
"""


def link_log(name, log):
    """As a kubelet does, so that a log is found by the container's id. Cases run beside each other."""

    def tidy():
        (LINKS / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            LINKS.rmdir()  # as long as it is nobody else's

    Env.cleanup.callback(tidy)
    while not (LINKS / name).is_symlink():
        LINKS.mkdir(exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            (LINKS / name).symlink_to(log)


# --- protobuf: what is needed of it ------------------------------------------------


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def message(*fields):
    """(number, value) pairs; a value is a number, a text, or a message."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
            continue
        value = value.encode() if isinstance(value, str) else value
        out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def first_text(data):
    """The text of field 1, which comes first: an id. Shorter than 128 bytes."""
    return data[2:2 + data[1]].decode() if data[:1] == b"\x0a" else ""


# --- images: one program each ------------------------------------------------------


def add_bytes(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def write_image(path, name, program, entry):
    """An archive as `docker save` writes it."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add(program, arcname=entry[0].lstrip("/"))
        tmp = tarfile.TarInfo("tmp")
        tmp.type, tmp.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(tmp)
    layer = layer.getvalue()
    arch = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    config = {"architecture": arch, "os": "linux", "config": {"Entrypoint": entry},
              "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]}}
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    with tarfile.open(path, "w") as tar:
        add_bytes(tar, "config.json", json.dumps(config).encode())
        add_bytes(tar, "layer.tar", layer)
        add_bytes(tar, "manifest.json", json.dumps(manifest).encode())


# --- what a killed test left --------------------------------------------------------


def end_all(dir):
    """Shims name the directory; the containers are their children. Mounts go with the last of them."""
    shims = [p.name for p in Path("/proc").glob("[0-9]*") if names(p, f"{dir}/")]
    for pid in [d for shim in shims for d in descendants(int(shim))] + [int(shim) for shim in shims]:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    for cgroup in Path("/sys/fs/cgroup").glob(f"**/{NAMESPACE}"):
        for below in [*cgroup.glob("*"), cgroup]:
            with contextlib.suppress(OSError):
                below.rmdir()  # those of others hold processes
    shutil.rmtree(dir, ignore_errors=True)


def names(proc, text):
    try:
        args = (proc / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return False
    return text in args and ("containerd-shim" in args or args.startswith("containerd "))


def sweep():
    for dir in Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        owner = dir / "owner"
        if not owner.exists() or not Path(f"/proc/{owner.read_text()}").exists():
            end_all(dir)


class Cri:
    def __init__(self):
        for tool in ("containerd", "containerd-shim-runc-v2", "runc", "ctr", "curl", "unshare", "busybox"):
            if not shutil.which(tool):
                raise Skip(f"no {tool}")
        sweep()
        self.dir = Path(tempfile.mkdtemp(prefix=PREFIX))
        Env.cleanup.callback(end_all, self.dir)
        (self.dir / "owner").write_text(str(os.getpid()))
        (self.dir / "config.toml").write_text(CONFIG.format(dir=self.dir, pause=PAUSE))
        with open(self.dir / "log", "wb") as log:
            self.daemon = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "containerd", "--config",
                 f"{self.dir}/config.toml"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        Env.cleanup.callback(self.stop)
        wait_for("containerd's CRI", lambda: self.call("Version", b"") != b"", 30, 0.1)
        self.take_image(PAUSE, shutil.which("busybox"), ["/busybox", "sleep", "1000000"])
        self.take_image(NODE, Env.node, ["/node"])

    def stop(self):
        self.daemon.terminate()
        try:
            self.daemon.wait(10)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()

    def take_image(self, name, program, entry):
        tar = self.dir / "image.tar"
        write_image(tar, name, program, entry)
        subprocess.run(["ctr", "-a", f"{self.dir}/c.sock", "-n", NAMESPACE, "images", "import", tar], check=True,
                       stdout=subprocess.DEVNULL, timeout=60)
        tar.unlink()

    def call(self, method, body):
        """A call of runtime.v1.RuntimeService; its answer, a protobuf message."""
        url = f"http://localhost/runtime.v1.RuntimeService/{method}"
        answer, headers = self.dir / "answer", self.dir / "headers"
        for f in (answer, headers):
            f.unlink(missing_ok=True)
        out = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "--unix-socket", f"{self.dir}/c.sock", "-m", "30",
                              "-H", "content-type: application/grpc", "-H", "te: trailers", "-D", headers, "-o", answer,
                              "--data-binary", "@-", url],
                             input=struct.pack(">BI", 0, len(body)) + body, capture_output=True, timeout=40)
        assert out.returncode == 0, f"{method}: {out.stderr.decode()}"
        said = headers.read_text()
        assert "grpc-status: 0" in said, f"{method}: {said}"
        return answer.read_bytes()[5:]


class PodNode(Node):
    """The look-alike as the one container of a pod; its log lies where a kubelet has it laid."""

    rotations = 0

    def __init__(self, cri, script="", *args):
        self.cri = cri
        self.container = unique()
        self.home = f"/home/{self.container}"
        self.logs = cri.dir / "pods" / f"default_{self.container}_uid"
        security = message((1, message((1, NODE_NETWORK))))
        self.pod = message((1, message((1, self.container), (2, "uid"), (3, "default"))), (3, str(self.logs)),
                           (8, message((2, security))))
        self.sandbox = first_text(cri.call("RunPodSandbox", message((1, self.pod))))
        Env.cleanup.callback(self.remove)
        words = ["--dir", self.home, "--script", script, "--hold", *map(str, args)]
        config = message((1, message((1, "node"))), (2, message((1, NODE))), *((4, w) for w in words),
                         (11, "node/0.log"))
        self.id = first_text(cri.call("CreateContainer", message((1, self.sandbox), (2, config), (3, self.pod))))
        link_log(f"{self.container}_default_node-{self.id}.log", self.log)
        cri.call("StartContainer", message((1, self.id)))
        self.pid = wait_for("the container's process", self.find_pid, 10, 0.1)

    def find_pid(self):
        out = subprocess.run(["ctr", "-a", f"{self.cri.dir}/c.sock", "-n", NAMESPACE, "task", "ls"],
                             capture_output=True, text=True, timeout=20).stdout
        return next((int(line.split()[1]) for line in out.splitlines() if line.startswith(self.id)), 0)

    @property
    def log(self):
        return self.logs / "node" / "0.log"

    def rotate(self):
        """As a kubelet does: the file gets another name, the engine is told to open a new one."""
        self.rotations += 1  # never two in a second
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(time.time() + self.rotations))
        self.log.rename(self.log.with_name(f"0.log.{stamp}"))
        self.cri.call("ReopenContainerLog", message((1, self.id)))

    def said(self):
        """All that the engine has kept: (stream, text) of each entry that is a whole line."""
        for path in sorted(self.log.parent.iterdir(), key=lambda p: p.stat().st_mtime_ns):
            for line in path.read_text().splitlines():
                _, stream, tag, text = line.split(" ", 3)
                if tag == "F":
                    yield stream, text

    def remove(self):
        for method in ("StopPodSandbox", "RemovePodSandbox"):
            with contextlib.suppress(Exception):
                self.cri.call(method, message((1, self.sandbox)))
