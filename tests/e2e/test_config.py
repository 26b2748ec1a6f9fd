# SPDX-License-Identifier: BSD-2-Clause
"""Bad config: one clear message, exit 2, and nothing was started."""

import subprocess

from cases import case
from harness import Env, Observer, observer_cmd, wait_for


def write(text):
    path = Env.tmp / "bad.yaml"
    if isinstance(text, bytes):
        path.write_bytes(text)
    else:
        path.write_text(text)
    return path


def refused(path, *words):
    """Both commands refuse the file with exit 2 and a message that holds all the words."""
    for command in (["check-config", "-c"], ["run", "--no-bpf", "-c"]):
        out = observer_cmd(*command, path, timeout=10)
        what = f"{' '.join(command)}: exit {out.returncode}\n{out.stdout}{out.stderr}"
        assert out.returncode == 2, what
        told = out.stdout + out.stderr
        for word in words:
            assert word in told, f"no {word!r} in the message: {what}"
        assert not (Env.tmp / "state").exists(), f"{command[0]} started something"


def state():
    return f"state_dir: {Env.tmp}/state\n"


@case(limit_s=30, needs=())
def wrong_type():
    """a value of the wrong type: refused, with file, line and column"""
    path = write(state() + "batch_size: many\n")
    refused(path, f"{path}:2:", "error", "batch_size")
    path = write(state() + "targets: [a, b]\n")
    refused(path, f"{path}:2:", "error", "targets")


@case(limit_s=30, needs=())
def out_of_range():
    """a number out of range: refused, and the range is told"""
    path = write(state() + "limits:\n  ring_bytes: 1\n")
    refused(path, f"{path}:3:", "error", "ring_bytes")
    path = write(state() + "batch_size: -1\n")
    refused(path, f"{path}:2:", "error", "batch_size")
    path = write(state() + "forward: sometimes\n")
    refused(path, f"{path}:2:", "error", "forward", "all")


@case(limit_s=30, needs=())
def not_yaml():
    """a file that is not YAML, or no text at all"""
    path = write(state() + "targets: {include: [\n")
    refused(path, str(path), "error")
    path = write(b"\x00\xff\xfe\x01" * 64)
    refused(path, str(path))


@case(limit_s=30, needs=())
def missing_file():
    """a file that does not exist, or is a directory"""
    refused(Env.tmp / "nowhere.yaml", "nowhere.yaml", "No such file")
    refused(Env.tmp, str(Env.tmp))


@case(limit_s=30, needs=())
def unreadable_secret():
    """a secret's file that cannot be read"""
    path = write(state() + f"auth_token_file: {Env.tmp}/nowhere.token\n")
    refused(path, "nowhere.token", "No such file")


@case(limit_s=30, needs=())
def several_mistakes():
    """all mistakes of a file are told, not only the first"""
    path = write(state() + "batch_size: many\nforward: sometimes\n")
    refused(path, f"{path}:2:", f"{path}:3:")


@case(limit_s=30, needs=())
def unknown_key():
    """an unknown key is a warning with the nearest known key; the observer starts"""
    path = write("api_endpont: http://127.0.0.1:1/\n")
    out = observer_cmd("check-config", "-c", path)
    told = out.stdout + out.stderr
    assert out.returncode == 0, told
    assert f"{path}:1:" in told and "warning" in told and "api_endpoint" in told, told
    observer = Observer(None, {"forwad": "all", "targets": {"docker_soket": "x"}}, ["--no-bpf"])
    observer.start()
    wait_for("the warnings", lambda: "forward" in observer.log()
             and "docker_socket" in observer.log(), 5)
    assert observer.stop()[0] == 0


@case(limit_s=30, needs=())
def bad_arguments():
    """a wrong command or option: exit 2 and a hint"""
    for args, word in ((["rnu"], "rnu"), (["run", "--no-bfp"], "no-bpf"), (["run", "-c"], "-c")):
        out = observer_cmd(*args, timeout=10)
        assert out.returncode == 2 and word in out.stderr, f"{args}: {out}"
    out = subprocess.run([Env.observer], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=10)
    assert out.returncode == 2
