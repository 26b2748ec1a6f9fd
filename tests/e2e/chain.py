# SPDX-License-Identifier: BSD-2-Clause
"""A real EVM chain (anvil, from npm) with the swarm's contract on it (tests/chain), and how its
contract is called. Arguments are encoded here, with the selectors as printed in block explorers:
nothing of the observer's own code is used."""

import json
import re
import subprocess
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from harness import Env, Skip, wait_for

ROOT = Path(__file__).resolve().parent.parent.parent
CONTRACTS = json.loads((ROOT / "tests/chain/coordinator.json").read_text())
CHAIN_ID = 685685
PEER = "QmYii94drSM2nDZ8BAbyzG2EHzC41ko5X1Xt1NcWvv3Xb6"
OTHER_PEER = "QmRzqfPNGuudjnz1bkE2i45YGCEtnYx9PtGp2aiVJfKhAc"

SELECTORS = {
    "registerPeer(string)": "33e7fb45",
    "submitReward(uint256,uint256,int256,string)": "5194e15f",
    "submitReward(uint256,int256,string)": "3bc0930a",
    "submitWinners(uint256,string[],string)": "fbe94d68",
    "advanceRound()": "1ba9998b",
    "updateStageAndRound()": "e28b0586",
    "addBootnodes(string[])": "d90d8573",
    "note(string,uint256)": "27452602",
}


def word(n):
    return (n % 2**256).to_bytes(32, "big")


def tail(value):
    if isinstance(value, str):
        raw = value.encode()
        return word(len(raw)) + raw + bytes(-len(raw) % 32)
    return word(len(value)) + encode(value)


def encode(values):
    """Arguments: whole numbers, strings, lists of strings."""
    head, rest = b"", b""
    for v in values:
        if isinstance(v, int):
            head += word(v)
        else:
            head += word(32 * len(values) + len(rest))
            rest += tail(v)
    return head + rest


class Chain:
    """An anvil of its own. Transactions are mined one a block."""

    def __init__(self, contract="Rounds", port=0, args=()):
        self.kind = contract
        try:
            program = subprocess.run([ROOT / "scripts/fetch-anvil.sh"], check=True, text=True,
                                     capture_output=True, timeout=120).stdout.strip()
        except (OSError, subprocess.SubprocessError) as e:
            raise Skip(f"no anvil here: {getattr(e, 'stderr', '') or e}") from e
        self.log = open(Env.tmp / f"anvil-{id(self):x}.log", "w+")
        self.process = subprocess.Popen(
            [program, "--host", "127.0.0.1", "--port", str(port), "--chain-id", str(CHAIN_ID),
             "--hardfork", "prague", *args], stdout=self.log, stderr=self.log, cwd=Env.tmp)
        Env.cleanup.callback(self.kill)
        found = wait_for("anvil", lambda: re.search(
            r"Listening on 127\.0\.0\.1:(\d+)", Path(self.log.name).read_text()), 20)
        self.port = int(found[1])
        self.url = f"http://127.0.0.1:{self.port}/"
        self.account = self.rpc("eth_accounts")[0]
        self.address = self.deploy() if contract else None

    def rpc(self, method, *params):
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        request = urllib.request.Request(self.url, body.encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as r:
            answer = json.load(r)
        assert "result" in answer, answer
        return answer["result"]

    def transact(self, **tx):
        done = self.rpc("eth_sendTransaction", {"from": self.account, "gas": hex(8_000_000), **tx})
        receipt = wait_for("the receipt", lambda: self.rpc("eth_getTransactionReceipt", done), 10)
        assert receipt["status"] == "0x1", receipt
        return receipt

    def deploy(self):
        return self.transact(data=CONTRACTS[self.kind]["bytecode"])["contractAddress"]

    def call(self, signature, *args):
        """A transaction from the first account, mined."""
        data = "0x" + SELECTORS[signature] + encode(args).hex()
        return self.transact(to=self.address, data=data)

    def reward(self, round_, reward, peer=PEER):
        if self.kind == "Staged":
            return self.call("submitReward(uint256,uint256,int256,string)", round_, 0, reward, peer)
        return self.call("submitReward(uint256,int256,string)", round_, reward, peer)

    def win(self, round_, winners, peer=PEER):
        return self.call("submitWinners(uint256,string[],string)", round_, winners, peer)

    def advance(self, rounds=1):
        for _ in range(rounds):
            self.call("advanceRound()")

    def settle(self):
        """Blocks on top: what was logged before counts as settled then."""
        self.rpc("anvil_mine", hex(3))

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


class FakeRpc:
    """No chain: a server that misbehaves as told. answer(request) returns (status, headers, body
    bytes), or None to say nothing until the test ends."""

    def __init__(self, answer):
        self.requests = []
        self.over = threading.Event()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                fake.requests.append(json.loads(body))
                reply = answer(fake.requests[-1])
                if reply is None:
                    fake.over.wait(60)
                    return
                status, headers, text = reply
                self.send_response(status)
                for k, v in headers.items():
                    self.send_header(k, v)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v2/a-secret-key"
        Env.cleanup.callback(self.close)

    def close(self):
        self.over.set()
        self.server.shutdown()
        self.server.server_close()
