#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# run.sh SECONDS SEEDS PROGRAM - one fuzz target for so long; one line says how it went.
# Its seeds are those in SEEDS/TARGET, else SEEDS/text.
# What it found stays beside the program: PROGRAM.corpus, PROGRAM.log, PROGRAM.crash-….
set -uo pipefail

seconds=$1 seeds=$2 program=$3
name=${program##*/}
mkdir -p "$program.corpus"
own=$seeds/$name
if [ -d "$own" ]; then seeds=$own; else seeds=$seeds/text; fi
# a line is cut at 64 KiB; a talk is many writes
case $name in
fuzz_parse | fuzz_scrub) max=70000 ;;
fuzz_frames | fuzz_talk | fuzz_kept | fuzz_rpc | fuzz_traceback) max=16384 ;;
*) max=4096 ;;
esac
if "$program" -max_total_time="$seconds" -max_len="$max" -timeout=60 -rss_limit_mb=2048 \
    -artifact_prefix="$program." "$program.corpus" "$seeds" >"$program.log" 2>&1; then
    echo "  FUZZ    $name: $(tail -1 "$program.log")"
else
    tail -40 "$program.log"
    echo "  FUZZ    $name failed; $program.log has the rest"
    exit 1
fi
