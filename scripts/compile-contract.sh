#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# compile-contract.sh [--check] - tests/chain/coordinator.json from Coordinator.sol, with solc
# from npm (a pinned version, in the cache). --check: is what is committed what comes out?
#
# Not part of `make test`: it takes some seconds and npm; the result is committed.
set -euo pipefail

version=0.8.37
dir=${GSWARM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gswarm-observer}/solc-$version
cd "$(dirname "$0")/../tests/chain"

[ -d "$dir/node_modules/solc" ] || npm install --prefix "$dir" --ignore-scripts --no-audit \
    --no-fund --silent "solc@$version" >&2

compile() {
    NODE_PATH="$dir/node_modules" node - <<'JS'
const fs = require("fs"), solc = require("solc");
const input = {
  language: "Solidity",
  sources: { "Coordinator.sol": { content: fs.readFileSync("Coordinator.sol", "utf8") } },
  settings: {
    optimizer: { enabled: true, runs: 1 }, evmVersion: "prague", metadata: { bytecodeHash: "none" },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input)));
for (const e of output.errors || []) console.error(e.formattedMessage);
const result = {};
for (const [name, c] of Object.entries(output.contracts["Coordinator.sol"]))
  if (c.evm.bytecode.object)
    result[name] = { abi: c.abi, bytecode: "0x" + c.evm.bytecode.object };
process.stdout.write(JSON.stringify(result) + "\n");
JS
}

if [ "${1:-}" = --check ]; then
    compile | cmp - coordinator.json
else
    compile >coordinator.json.new
    mv coordinator.json.new coordinator.json
fi
