# SPDX-License-Identifier: BSD-2-Clause
"""What becomes of lines behind the parser: collapsed, counted, scrubbed, told in whose time."""

import contextlib
import gzip
import json
import os
import pty
import random
import signal
import subprocess
import time
from pathlib import Path

from cases import case
from harness import (DATA, Api, ContainerNode, Env, Observer, ProcessNode, check_ledger, g3, observer_cmd, of_file,
                     script_lines, wait_for)

SUBMIT = g3("Failed to submit to chain.", "ERROR")


def watching(**more):
    return {"targets": {"include": {"command": [f"*{Env.tmp}/gso-test-node-*"]}}, **more}


def submits(events):
    return [e for e in events if e["details"].get("code") == "SUBMIT_FAILED"]


def collapsed(observer):
    return observer.metrics()['gswarm_events_total{place="collapsed"}']


@case(needs=("root", "bpf"))
def collapse():
    """ten times the same error: three events, then one that counts seven; the ledger adds up"""
    api = Api()
    observer = Observer(api, watching(collapse={"window": "2s"})).start()
    node = ProcessNode("gate\n" + f"file 0 {SUBMIT}\n" * 10 + f"file 0 {g3('other')}\n")
    node.gate()
    events = wait_for("the count", lambda: (s := submits(api.events())) and
                      "repeated" in s[-1]["details"] and s, 15)
    assert len(events) == 4, events
    assert events[3]["details"]["repeated"] == 7 and events[3]["details"]["window_s"] == 2, events[3]
    assert len({e["event_id"] for e in events}) == 4, events
    assert not any("repeated" in e["details"] for e in events[:3]), events
    wait_for("a ledger that adds up", lambda: check_ledger(observer.metrics()) is None, 5)


@case(needs=("root", "bpf"))
def collapse_crash():
    """kill -9 while errors are held back: their number is told after the restart"""
    api = Api()
    observer = Observer(api, watching(collapse={"window": "5s", "first": 1})).start()
    node = ProcessNode("gate\n" + f"file 0 {SUBMIT}\n" * 6 + f"file 0 {g3('other')}\n")
    node.gate()
    wait_for("five held back", lambda: collapsed(observer) == 5)
    wait_for("a commit behind them", lambda: any(e["details"].get("message") == "other"
                                                 for e in observer.stored()))
    observer.kill()
    observer.start()
    wait_for("the count", lambda: [e["details"]["repeated"] for e in submits(api.events())
                                   if "repeated" in e["details"]] == [5], 15)


@case(needs=("root", "bpf"))
def own_patterns():
    """patterns and scrub rules of the config: an event with its fields, [NAME], both counted"""
    api = Api()
    observer = Observer(api, watching(
        patterns=[{"name": "gpu_hot", "regex": r"GPU (?<gpu>\d+) is at (\d+) C", "event": "error",
                   "code": "GPU_HOT", "fields": ["celsius"]}],
        scrub={"rules": [{"name": "wallet", "regex": r"wallet \w+"}]})).start()
    node = ProcessNode(f"gate\nfile 0 {g3('GPU 3 is at 91 C')}\n"
                       f"file 0 {g3('paid to wallet abc123 by ann@example.org')}\n")
    node.gate()
    api.wait_file(node, 2)
    hot, paid = of_file(api.events(), node)
    assert hot["event_type"] == "error" and hot["details"]["event"] == "gpu_hot", hot
    assert (hot["details"]["code"], hot["details"]["gpu"], hot["details"]["celsius"]) == \
        ("GPU_HOT", 3, 91), hot
    assert paid["details"]["message"] == "paid to [WALLET] by [EMAIL]", paid
    m = observer.metrics()
    assert m['gswarm_scrubbed_total{rule="wallet"}'] == 1, m
    assert m['gswarm_scrubbed_total{rule="email"}'] == 1, m
    # the same config shows the same in replay
    out = observer_cmd("replay", "-c", observer.config_path, node.log_path())
    assert [json.loads(x)["details"].get("code") for x in out.stdout.splitlines()] == \
        ["GPU_HOT", None], out


@case()
def bad_patterns():
    """a regex that is none is told with its entry, by check-config and by run"""
    path = Path(Env.tmp) / "bad.yaml"
    path.write_text("patterns:\n  - name: x\n    regex: '('\n")
    for command in ("check-config", "run"):
        out = observer_cmd(command, "-c", path)
        assert out.returncode == 2 and "pattern 'x': " in out.stderr, out


def old_line(at, message):
    text = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
    return f"[{text},000][genrl.logging_utils][INFO] - {message}\n"


@case()
def windows():
    """counts and values per minute and five minutes, of old lines by their own time"""
    log = Path(Env.tmp) / "old.log"
    base = int(time.time() - 7200) // 300 * 300
    log.write_text("".join(old_line(base + 60 * m + 5, f"Joining round: {m}") for m in range(11)) +
                   old_line(base + 630, "Joining round: 12"))
    observer = Observer(None, {"log_files": [str(log)], "aggregate": {"forward": "5m"}}).start()

    def windows_of(length):
        out = observer_cmd("events", "--state-dir", observer.state, "--aggregate", length)
        return [json.loads(x) for x in out.stdout.splitlines()]

    minutes = wait_for("ten minutes", lambda: len(w := windows_of("1m")) >= 10 and w)
    assert [w["start"] for w in minutes[:2]] == \
        [time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(base + s)) for s in (0, 60)], minutes
    assert minutes[1]["events"]["round_joined"] == 1, minutes[1]
    assert minutes[1]["values"]["round_s"] == \
        {"count": 1, "min": 60, "mean": 60, "max": 60, "last": 60}, minutes[1]
    five = wait_for("five minutes", lambda: len(w := windows_of("5m")) >= 2 and w)
    assert five[0]["events"]["round_joined"] == 5 and five[0]["window_s"] == 300, five
    told = wait_for("windows as events", lambda: [e for e in observer.stored()
                                                  if e["details"]["event"] == "window"])
    assert told[0]["event_type"] == "container_snapshot", told
    assert told[0]["details"]["round_joined"] == 5 and told[0]["details"]["window_s"] == 300, told
    assert told[0]["details"]["round_s.mean"] == 60, told
    # the last minute goes on after a restart
    observer.stop()
    with open(log, "a", encoding="utf-8") as f:
        f.write(old_line(base + 640, "Joining round: 13") + old_line(base + 720, "Joining round: 14"))
    observer.start()
    wait_for("the minute of the restart, with what was in it before", lambda: len(w := windows_of("1m")) >= 11
             and w[10]["events"]["round_joined"] == 3)


@contextlib.contextmanager
def in_zone(name):
    before = os.environ.get("TZ")
    os.environ["TZ"] = name
    yield
    os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)


@case(needs=("root", "bpf"))
def local_time():
    """old lines are of the node's zone: its TZ is asked, summer time and all"""
    if not Path("/usr/share/zoneinfo/America/New_York").exists():
        return  # a bare machine without the database
    api = Api()
    with in_zone("America/New_York"):
        node = ProcessNode(script_lines("old", 3))
    node.wait_written(3)
    Observer(api, watching()).start()
    api.wait_file(node, 3)
    for e in of_file(api.events(), node):
        assert e["timestamp"] == "2025-09-25T21:35:18.616000Z", e
        assert e["details"]["time_source"] == "log", e


SECRETS = {
    "email": "ann.bolt+x@mail.example.org",
    "hugging face": "hf_AbCdEfGhIjKlMnOpQrStUvWxYz012345",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJzb21lYm9keSJ9.c2lnbmF0dXJlLXNlY3JldA",
    "bearer": "abcDEF-123~456secret",
    "telegram": "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0",
    "org": "6f9619ff-8b86-d011-b42d-00cf4fc964ff",
    "api key": "wandb0123abcdef0123abcdef0123",
    "private key": "0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318",
    "password": "hunter2secret",
    "url key": "urlkey0123secret",
    "rpc key": "AbCdEfGhIjKlMnOpQrStUv012345",
    "option": "optsecret987",
    "pem": "MIIEowIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyF8PbnGy0AHB7MaC5rS1zR3yA9LQg",
    "our own token": "the-api-token-0123",
}


def secret_lines():
    s = SECRETS
    return [f"login of {s['email']} failed", f"using {s['hugging face']} now",
            f"cookie {s['jwt']}.", f"Authorization: Bearer {s['bearer']}",
            f"https://api.telegram.org/bot{s['telegram']}/sendMessage",
            f"Your ORG_ID is set to: {s['org']}", f"WANDB_API_KEY={s['api key']}",
            "{'privateKey': '%s', 'loss': 1}" % s["private key"],
            f"proxy http://bob:{s['password']}@proxy:3128/", f"GET /x?key={s['url key']}&n=5",
            f"https://gensyn-testnet.g.alchemy.com/v2/{s['rpc key']}",
            f"python -m x --hf_token {s['option']} --n 3", s["pem"],
            f"ValueError: bad {s['hugging face']} of {s['email']}"]


@case(limit_s=60, needs=("root", "bpf", "prlimit"))
def secrets():
    """no secret that a node writes is in the store, at the API, in our messages, or in a core"""
    api = Api()
    observer = Observer(api, watching(auth_token=SECRETS["our own token"]),
                        args=["--verbose"], prefix=["prlimit", "--core=unlimited", "--"]).start()
    lines = secret_lines()
    node = ProcessNode("gate\n" + "".join(f"file 0 {g3(x)}\nout 0 {x}\nyarn 0 {x}\n"
                                          for x in lines) + f"file 0 {g3('the end')}\n")
    node.gate()
    wait_for("the last line", lambda: any(e["details"].get("message") == "the end"
                                          for e in api.events()), 15)
    api.settle()
    sent = "".join(r.text().decode() for r in api.requests)
    assert sent.count("[EMAIL]") >= 6 and sent.count("[TOKEN]") >= 6, "the lines did not come"
    os.kill(observer.process.pid, signal.SIGABRT)
    end = os.waitid(os.P_PID, observer.process.pid, os.WEXITED | os.WNOWAIT)
    observer.wait_end()
    assert end.si_code == os.CLD_KILLED, f"it left a core: {end}"
    places = {"API": sent, "log": observer.log(),
              "events": "".join(json.dumps(e, ensure_ascii=False) for e in observer.stored())}
    for f in observer.dir.rglob("*"):
        if f.is_file() and f != observer.config_path:
            places[f.name] = f.read_bytes().decode("latin-1")
    told = subprocess.run([Env.observer, "check-config", "-c", str(observer.config_path)],
                          stdout=subprocess.PIPE, text=True, timeout=10, check=True)
    places["check-config"] = told.stdout
    for name, secret in SECRETS.items():
        for place, text in places.items():
            assert secret not in text, f"{name} is in {place}"


@case()
def consoles_apart():
    """two processes write halves of lines to one console: each line is one process's"""
    api = Api()
    Observer(api).start()
    node = ContainerNode("gate\nout 0 one \\c\nsh 100 other \\c\nout 200 half\nsh 300 half\n"
                       "err 0 Traceback (most recent call last):\nsh 0 between\n"
                       "err 100 ValueError: x\nsh 200 after\n")
    node.gate()

    def console():
        return [e for e in api.events() if e["origin"]["via"] == "console"]

    wait_for("the traceback", lambda: any(e["details"].get("code") for e in console()))
    wait_for("the last line", lambda: any(e["details"]["message"] == "after" for e in console()))
    messages = {e["details"]["message"]: e for e in console()}
    assert {"one half", "other half", "between", "after", "ValueError: x"} <= messages.keys(), messages
    assert messages["one half"]["origin"]["pid"] == node.process("trainer"), messages
    assert messages["other half"]["origin"]["pid"] == node.pid, messages
    assert messages["ValueError: x"]["details"]["traceback"].count("\n") == 1, messages


def replayed(*args, stdin_text=""):
    out = subprocess.run([Env.observer, "replay", *map(str, args)], input=stdin_text,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=20)
    assert out.returncode == 0, out
    return [json.loads(x) for x in out.stdout.splitlines()]


@case(limit_s=30, needs=())
def replay_forms():
    """replay: gzip, several files, Docker's own log, a format by name, a time zone"""
    tmp = Path(Env.tmp)
    text = g3("Joining round: 7") + "\n" + g3("Starting round: 7/9.") + "\n"
    plain, packed, docker = tmp / "a.log", tmp / "b.log.gz", tmp / "c-json.log"
    plain.write_text(text)
    packed.write_bytes(gzip.compress(text[:30].encode()) + gzip.compress(text[30:].encode()))
    docker.write_text("".join(json.dumps({"log": x + "\n", "stream": "stdout",
                                          "time": "2025-01-02T03:04:05.678901234Z"},
                                         separators=(",", ":"), ensure_ascii=False) + "\n"
                              for x in ("Joining round: 8", "🐝 Joining round: 9")))
    events = replayed(plain, packed, docker)
    assert [e["details"].get("round") for e in events] == [7, 7, 7, 7, 8, 9], events
    assert [e["origin"]["path"] for e in events] == \
        [str(p) for p in (plain, plain, packed, packed, docker, docker)], events
    assert events[4]["timestamp"] == "2025-01-02T03:04:05.678901Z", events[4]
    moved = replayed("--timezone", "+02:00", plain)
    assert moved[0]["timestamp"] == "2025-09-25T15:35:18.616000Z", moved
    yarn = replayed("--format", "yarn", "-n", "me", "-", stdin_text="TypeError: x\n    at f (/a.js:1:2)\n")
    assert [(e["node_id"], e["details"]["code"]) for e in yarn] == [("me", "SERVER_ERROR")], yarn
    out = observer_cmd("replay", "--format", "nonsense", plain)
    assert out.returncode == 2 and "nonsense" in out.stderr, out


@case(limit_s=30, needs=())
def replay_summary():
    """replay --summary: span, rounds, errors with advice, silence, submissions, restarts"""
    def at(hour, minute, message, level="INFO"):
        return f"[2025-10-26 {hour:02}:{minute:02}:00,000][genrl][{level}] - {message}\n"

    path = Path(Env.tmp) / "swarm_launcher.log"
    peer = "QmYii94drSM2nDZ8BAbyzG2EHzC41ko5X1Xt1NcWvv3Xb6"
    path.write_text(
        at(1, 0, f"🐝 Hello [dormant toothy bat] [{peer}]!") + at(1, 1, "Joining round: 5") +
        at(1, 3, "Joining round: 6") +
        at(1, 4, 'http://localhost:3000 "POST /api/submit-reward HTTP/1.1" 200 None', "DEBUG") +
        at(1, 5, "Exception occurred during game run.", "ERROR") +
        "Traceback (most recent call last):\n  File \"/x.py\", line 1, in f\nKeyError: 'a'\n" +
        at(2, 0, f"🐝 Hello [dormant toothy bat] [{peer}]!") + at(2, 1, "Joining round: 9"))
    out = observer_cmd("replay", "--summary", path)
    assert out.returncode == 0 and "\033" not in out.stdout, out
    for text in ("2025-10-26 01:00:00 to 2025-10-26 02:01:00 UTC (1h 01min)",
                 f"dormant toothy bat, peer id {peer}", "starts seen: 2", "3 joined, from 5 to 9",
                 "2min 00s at least", "1 went through", "GAME_EXCEPTION  1×",
                 "last: Exception occurred during game run.", "Restart the node",
                 "55min 00s from 2025-10-26 01:05:00"):
        assert text in out.stdout, f"no {text!r} in\n{out.stdout}"


def stopped_replay(path):
    """What a replay writes to the terminal that is held up for a second in the middle."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([Env.observer, "replay", str(path)], stdout=subprocess.DEVNULL,
                          stderr=theirs) as proc:
        while proc.poll() is None and str(path) not in open_files(proc.pid):
            time.sleep(0.001)
        os.kill(proc.pid, signal.SIGSTOP)
        time.sleep(1.2)
        os.kill(proc.pid, signal.SIGCONT)
        os.close(theirs)
        seen = b""
        with contextlib.suppress(OSError):  # EIO: nobody has the other end
            while part := os.read(ours, 4096):
                seen += part
    os.close(ours)
    assert proc.returncode == 0, proc.returncode
    return seen


def open_files(pid):
    found = []
    with contextlib.suppress(OSError):
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            found.append(os.readlink(fd))
    return found


@case(limit_s=60, needs=())
def replay_progress():
    """replay shows its progress on a terminal, for files that take over a second, and wipes it"""
    path = Path(Env.tmp) / "big.log"
    path.write_text((g3("Joining round: 1") + "\n") * 400_000)
    for _ in range(5):  # it may be done before it is held up
        seen = stopped_replay(path)
        if seen:
            break
    assert b"% [" in seen and seen.endswith(b"\r\033[K"), seen[-200:]
    quiet = observer_cmd("replay", path)  # no terminal
    assert quiet.stderr == "", quiet.stderr


def mangled(seed, n):
    """Bytes like a log's, and not: corpus lines with bytes changed, cut, glued, and noise between."""
    rng = random.Random(seed)
    rows = [r.split(b"\t", 2)[-1] for r in (DATA / "loglines.tsv").read_bytes().splitlines()[1:]]
    out = bytearray()
    while len(out) < n:
        line = bytearray(rng.choice(rows))
        for _ in range(rng.choice((0, 0, 1, 5, 50))):
            line[rng.randrange(len(line))] = rng.randrange(256)
        if rng.random() < 0.05:
            line = bytearray(rng.randbytes(rng.randrange(3000)))
        out += line[:rng.randrange(len(line) + 1)] if rng.random() < 0.1 else line
        out += rng.choice((b"\n", b"\n", b"\n", b"\r\n", b"\r", b"", b"\0", b"\n\n"))
    return bytes(out + b"\n")


@case(limit_s=60, needs=())
def any_bytes():
    """whatever bytes a log holds: replay's and the store's lines are JSON, offsets rise, all is counted"""
    logs = [Path(Env.tmp) / name for name in ("swarm_launcher.log", "yarn.log", "other.log")]
    for i, log in enumerate(logs):
        log.write_bytes(mangled(i, 400_000))
        raw = subprocess.run([Env.observer, "replay", str(log)], stdout=subprocess.PIPE, timeout=20,
                             check=True).stdout
        offsets = [json.loads(x.decode("utf-8"))["origin"]["offset"] for x in raw.split(b"\n")[:-1]]
        assert offsets and all(a < b for a, b in zip(offsets, offsets[1:])), log
    observer = Observer(None, {"log_files": [str(x) for x in logs]},
                        args=[] if os.geteuid() == 0 else ["--no-bpf"]).start()
    wait_for("all bytes", lambda: sum(observer.metrics()[f'gswarm_stream_bytes_total{{place="{p}"}}']
                                      for p in ("captured", "backfilled"))
             == sum(x.stat().st_size for x in logs), 30)
    wait_for("a ledger that adds up",
             lambda: check_ledger(observer.metrics(), delivered=False) is None, 10)
    assert observer.stop()[0] == 0, observer.log()
    last = {}
    for e in observer.stored():
        if e["origin"].get("via") == "backfill" and "repeated" not in e["details"]:
            assert e["origin"]["offset"] > last.get(e["origin"]["path"], -1), e
            last[e["origin"]["path"]] = e["origin"]["offset"]
    assert last.keys() == {str(x) for x in logs}, last
