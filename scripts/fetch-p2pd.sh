#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# fetch-p2pd.sh - the real p2pd, as hivemind releases it: out of its wheel on PyPI, into a
# cache, checked against the digest below. Prints the program's path.
#
# Nothing is fetched when it is there already. Exit status 1: it cannot be had here.
set -euo pipefail

version=1.1.12
digest=42f8f48e62583b97cdba3c31439c08029fb2b9fc506b5bdd82c46b7cc1d279d8
dir=${GSWARM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gswarm-observer}/hivemind-$version
program=$dir/p2pd

is_right() { [ -f "$1" ] && [ "$(sha256sum <"$1")" = "$digest  -" ]; }

fetch() {
    local tmp
    [ "$(uname -m)" = x86_64 ] || { echo "fetch-p2pd: there is no p2pd for $(uname -m)" >&2; return 1; }
    mkdir -p "$dir"
    tmp=$(mktemp -d -p "$dir")
    trap 'rm -rf "$tmp"' RETURN
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        -d "$tmp" "hivemind==$version" >&2
    python3 - "$tmp" <<'PY'
import sys, zipfile
from pathlib import Path
tmp = Path(sys.argv[1])
with zipfile.ZipFile(next(tmp.glob("hivemind-*.whl"))) as wheel:
    (tmp / "p2pd").write_bytes(wheel.read("hivemind/hivemind_cli/p2pd"))
PY
    is_right "$tmp/p2pd" || { echo "fetch-p2pd: the digest is another one" >&2; return 1; }
    chmod 755 "$tmp/p2pd"
    mv "$tmp/p2pd" "$program"
}

is_right "$program" || fetch
echo "$program"
