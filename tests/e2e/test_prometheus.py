# SPDX-License-Identifier: BSD-2-Clause
"""A real Prometheus reads the samples of configs/ and scrapes a running observer."""

import json
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path

from cases import case
from harness import Api, ContainerNode, Env, Observer, check_ledger, free_port, script_lines, wait_for

CONFIGS = Path(__file__).resolve().parent.parent.parent / "configs"
SCRAPE_S = 1


class Prometheus:
    """Scrapes one address; its data goes with the case."""

    def __init__(self, target):
        home = Env.tmp / "prometheus"
        home.mkdir()
        text = (CONFIGS / "prometheus.yml").read_text()
        assert "127.0.0.1:8080" in text and "15s" in text
        text = text.replace("127.0.0.1:8080", target).replace("15s", f"{SCRAPE_S}s")
        (home / "prometheus.yml").write_text(text)
        (home / "alerts.yml").write_text((CONFIGS / "alerts.yml").read_text())
        self.address = f"127.0.0.1:{free_port()}"
        log = Env.cleanup.enter_context(open(home / "log", "w"))
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={home}/prometheus.yml", f"--storage.tsdb.path={home}/data",
             f"--web.listen-address={self.address}"], stdout=log, stderr=log)
        Env.cleanup.callback(self.process.wait)
        Env.cleanup.callback(self.process.kill)

    def get(self, path, **params):
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(params)}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)["data"]

    def value(self, query):
        result = self.get("query", query=query)["result"]
        return float(result[0]["value"][1]) if result else None


@case(limit_s=90, needs=("root", "docker", "bpf", "prometheus"))
def scraped():
    """the samples of configs/ in a real Prometheus: it scrapes, its numbers are ours, its rules load"""
    observer = Observer(Api()).start()
    node = ContainerNode(script_lines("one", 20))
    prometheus = Prometheus(f"127.0.0.1:{observer.port}")
    prometheus_sees = "gswarm_lines_parsed_total"
    wait_for("the node's lines", lambda: observer.metrics()[prometheus_sees] >= 20, 20)
    node.process("trainer")
    wait_for("a scrape that has them", lambda: (prometheus.value(prometheus_sees) or 0) >= 20, 40, 0.3)
    assert prometheus.value("up") == 1
    assert prometheus.value("gswarm_nodes") == 1
    rules = [r for g in prometheus.get("rules")["groups"] for r in g["rules"]]
    assert rules and all(r["health"] in ("ok", "unknown") for r in rules), rules
    check_ledger(observer.metrics())


@case(needs=("promtool",))
def samples():
    """promtool accepts the samples of configs/"""
    for what, name in (("config", "prometheus.yml"), ("rules", "alerts.yml")):
        done = subprocess.run(["promtool", "check", what, CONFIGS / name], text=True,
                              capture_output=True, timeout=30)
        assert done.returncode == 0, done.stdout + done.stderr
