# SPDX-License-Identifier: BSD-2-Clause
"""What becomes of lines behind the parser: collapsed, counted, scrubbed, told in whose time."""

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

from cases import case
from harness import (Api, Env, Observer, ProcessNode, check_ledger, g3, observer_cmd, of_file,
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
    last = wait_for("the minute of the restart", lambda: len(w := windows_of("1m")) >= 11 and w[10])
    assert last["events"]["round_joined"] == 3, last


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
