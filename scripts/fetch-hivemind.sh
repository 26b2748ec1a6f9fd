#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# fetch-hivemind.sh [--have] - a Python with the real hivemind, for the long tests: Debian's torch
# (install-deps.sh swarm) and a venv in the cache. Prints the path of its python.
#
# --have: only look, fetch nothing. Exit status 1: it is not there, or cannot be had.
set -euo pipefail

version=1.1.12
dir=${GSWARM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gswarm-observer}/hivemind-$version/venv
python=$dir/bin/python

if [ "${1:-}" = --have ]; then
    [ -e "$dir/complete" ] || { echo "scripts/fetch-hivemind.sh has not been run" >&2; exit 1; }
elif [ ! -e "$dir/complete" ]; then
    "$(dirname "$0")/install-deps.sh" swarm >&2
    rm -rf "$dir"
    /usr/bin/python3 -m venv --system-site-packages "$dir" >&2
    # newer numpy, scipy and setuptools break it
    "$dir/bin/pip" install --quiet --disable-pip-version-check "hivemind==$version" \
        'numpy<2' 'scipy<1.14' 'setuptools<81' >&2
    "$python" -c 'import hivemind' >&2
    touch "$dir/complete"
fi
echo "$python"
