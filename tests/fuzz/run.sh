#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# run.sh SECONDS SEEDS PROGRAM - one fuzz target for so long; one line says how it went.
# What it found stays beside the program: PROGRAM.corpus, PROGRAM.log, PROGRAM.crash-….
set -uo pipefail

seconds=$1 seeds=$2 program=$3
name=${program##*/}
mkdir -p "$program.corpus"
if "$program" -max_total_time="$seconds" -max_len=4096 -timeout=60 -rss_limit_mb=2048 \
    -artifact_prefix="$program." "$program.corpus" "$seeds" >"$program.log" 2>&1; then
    echo "  FUZZ    $name: $(tail -1 "$program.log")"
else
    tail -40 "$program.log"
    echo "  FUZZ    $name failed; $program.log has the rest"
    exit 1
fi
