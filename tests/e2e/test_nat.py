# SPDX-License-Identifier: BSD-2-Clause
"""UDP that a host hands on to a container: who it is from, and which of the host's ports it came by."""

import re

from cases import case
from harness import Api, Env, Observer, docker, free_port, unique, wait_for
from swarm import P2pdPeer, p2pd_path
from test_connections import DOCKER_NEEDS, gateway_of, peers, sh, wait_event


@case(needs=(*DOCKER_NEEDS, "iptables"), limit_s=120)
def quic():
    """a real p2pd in a container, reached by QUIC through real DNAT: its remote, the host's port, the handshake"""
    network, name = unique(), unique()
    host, outside = gateway_of(network, f"10.80.{free_port() % 200 + 20}")
    api, port = Api(), free_port()
    observer = Observer(api, {"connections": {"interval": "1s"}}).start()
    container = docker("run", "-d", "--name", name, "--network", network, "-p", f"127.0.0.1:{port}:4001/udp",
                       "-v", f"{p2pd_path()}:/p2pd:ro", "--entrypoint", "/p2pd", "gswarm/node:test",
                       "-listen=/unix/tmp/hivemind-p2pd-gsonat.sock", "-hostAddrs=/ip4/0.0.0.0/udp/4001/quic-v1")
    Env.cleanup.callback(lambda: docker("rm", "-f", container, check=False))
    inside = docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container)
    who = wait_for("p2pd", lambda: re.search(r"^Peer ID: (\S+)", docker("logs", name), re.M), 30)[1]
    sh("ip", "netns", "exec", host.name, "iptables", "-t", "nat", "-A", "PREROUTING", "-p", "udp", "--dport", port,
       "-j", "DNAT", "--to-destination", f"{inside}:4001")

    def node():
        return next(n for n in peers(observer) if n.get("container_id") == container[:12])

    wait_for("the node", node, 30)
    peer = P2pdPeer(netns=outside, host="/ip4/198.51.100.2/udp/0/quic-v1")
    assert peer.do("connect", peer=who, addrs=[f"/ip4/198.51.100.1/udp/{port}/quic-v1"]) == {}

    def flow():
        f = next((f for f in node()["udp"] if f["remote"].startswith("198.51.100.2:")), None)
        return f if f and f["handshake_seen"] and f["packets_sent"] and f["packets_received"] else None

    f = wait_for("its flow", flow)
    assert (f["local_port"], f["host_port"], f["quic_version"]) == (4001, port, "00000001"), f
    assert (f["direction"], f["process"]) == ("in", "p2pd"), f
    e = wait_event(api, "connected", remote=f["remote"], transport="quic")
    assert (e["details"]["host_port"], e["details"]["local_port"]) == (port, 4001), e
    assert e["origin"]["container_id"] == container[:12], e
