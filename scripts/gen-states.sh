#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# gen-states.sh [PROGRAM] - write docs/states.md from the program's own tables.
# The unit tests check that it is up to date.
set -euo pipefail
cd "$(dirname "$0")/.."

"${1:-build/gswarm-observer}" states >docs/states.md
