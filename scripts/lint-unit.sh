#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# lint-unit.sh UNIT BINARY - is the unit file well formed, and how exposed is it?
#
# The unit is checked with the freshly built program in place of the installed one.
set -euo pipefail

command -v systemd-analyze >/dev/null || {
    echo '  UNIT    skipped: no systemd-analyze here'
    exit 0
}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
unit=$dir/$(basename "$1")
sed "s|/usr/local/bin/gswarm-observer|$(realpath "$2")|" "$1" >"$unit"

said=$(systemd-analyze verify --man=no "$unit" 2>&1) || true
if [ -n "$said" ]; then
    echo "$said"
    exit 1
fi
systemd-analyze security --offline=true "$unit" 2>/dev/null |
    sed -n 's/.*Overall exposure level for [^:]*: \([0-9.]*\).*/  UNIT    exposure \1/p'
