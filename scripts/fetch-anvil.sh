#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# fetch-anvil.sh - a real EVM chain for tests: anvil, as its makers release it on npm, into a
# cache, checked against the digest below. Prints the program's path.
#
# Nothing is fetched when it is there already. Exit status 1: it cannot be had here.
set -euo pipefail

version=1.7.1
digest=10c1c727d6c1de973aeb160e59875b9a9a23464d6e74149ee8abb30b3500311b
dir=${GSWARM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gswarm-observer}/anvil-$version
program=$dir/anvil

is_right() { [ -f "$1" ] && [ "$(sha256sum <"$1")" = "$digest  -" ]; }

fetch() {
    local tmp
    [ "$(uname -m)" = x86_64 ] || { echo "fetch-anvil: the digest is of x86_64's" >&2; return 1; }
    command -v npm >/dev/null || { echo "fetch-anvil: there is no npm here" >&2; return 1; }
    mkdir -p "$dir"
    tmp=$(mktemp -d -p "$dir")
    trap 'rm -rf "$tmp"' RETURN
    (cd "$tmp" && npm pack --silent --fetch-retries=0 --fetch-timeout=60000 "@foundry-rs/anvil-linux-amd64@$version" >/dev/null)
    tar -xzf "$tmp"/*.tgz -C "$tmp" package/bin/anvil
    is_right "$tmp/package/bin/anvil" || { echo "fetch-anvil: the digest is another one" >&2; return 1; }
    chmod 755 "$tmp/package/bin/anvil"
    mv "$tmp/package/bin/anvil" "$program"
}

is_right "$program" || fetch
echo "$program"
