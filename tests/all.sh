#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# all.sh - unit tests, fuzz targets, end-to-end tests, then those in other kernels; the last
# line sums them up. For `make test`.
# Arguments: the unit test programs, as `make check` builds and runs them.
set -uo pipefail

MAKE=${MAKE:-make}
OUT=${OUT:-build}
said=$(mktemp) # all that was put out, for the names at the end
trap 'rm -f "$said"' EXIT
passed=0 failed=0 skipped=0

# Sum of the numbers that cmocka printed: "[  PASSED  ] 5 test(s)."
count() { # WORD LOG
    awk -v word="$1" '$1 == "[" && $2 == word && $5 ~ /^test/ { n += $4 } END { print n + 0 }' "$2"
}

unit() {
    local t log ran check=0
    for t in "$@"; do rm -f "$t.log"; done
    # check stops at nothing but a failed build, and shows the logs of failed programs
    "$MAKE" -j"$(nproc)" --no-print-directory check || check=1
    for t in "$@"; do
        log=$t.log
        if [ ! -f "$log" ]; then
            echo "FAIL ${t##*/}: it was not built or not run"
            failed=$((failed + 1))
            continue
        fi
        ran=$(($(count PASSED "$log") + $(count FAILED "$log") + $(count SKIPPED "$log")))
        passed=$((passed + $(count PASSED "$log")))
        failed=$((failed + $(count FAILED "$log")))
        skipped=$((skipped + $(count SKIPPED "$log")))
        sed -n "s/^\[  SKIPPED \] \([^0-9].*\)/skip ${t##*/}: \1/p" "$log"
        if [ "$ran" = 0 ]; then
            echo "FAIL ${t##*/}: it ended before its tests did; $log has the rest"
            failed=$((failed + 1))
        fi
    done
    if [ "$check" != 0 ] && [ "$failed" = 0 ]; then
        echo "FAIL unit: a test program, all tests passed, ended with an error"
        failed=1
    fi
}

e2e() {
    local summary p f s jobs
    summary=$(mktemp)
    sudo=()
    if [ "$(id -u)" != 0 ] && sudo -n true 2>/dev/null; then sudo=(sudo -n); fi
    "$MAKE" -j"$(nproc)" --no-print-directory all node || {
        echo "FAIL e2e: the build failed"
        failed=$((failed + 1))
        return
    }
    # an engine each; cases wait more than they work: with one per processor half of those idle
    jobs=$(($(nproc) < 4 ? $(nproc) + 1 : 4))
    "${sudo[@]}" tests/e2e/run.py --observer "$OUT/gswarm-observer" --node "$OUT/tests/node/node" \
        --jobs "$jobs" --summary "$summary"
    if read -r p f s <"$summary"; then
        passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    else
        echo "FAIL e2e: it did not come to its end"
        failed=$((failed + 1))
    fi
    rm -f "$summary"
}

# Every fuzz target for some seconds: `make fuzz SECONDS=600` is for longer.
fuzz() {
    local out
    if ! echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' |
        "${CLANG:-clang}" -fsanitize=fuzzer,address -x c - -o /dev/null 2>/dev/null; then
        echo "skip fuzz: clang cannot link libFuzzer here"
        skipped=$((skipped + 1))
        return
    fi
    out=$(mktemp)
    "$MAKE" -j"$(nproc)" --no-print-directory fuzz SECONDS="${FUZZ_SECONDS:-10}" FUZZ_JOBS=2 |
        tee "$out"
    [ "${PIPESTATUS[0]}" = 0 ] || failed=$((failed + 1))
    passed=$((passed + $(grep -c '^  FUZZ .*: Done ' "$out")))
    rm -f "$out"
}

# Elsewhere one may lack them; where the tests decide what is merged, that is a failure.
no_kernels() { # WHY
    if [ -n "${GSO_KERNELS_MUST:-}" ]; then
        echo "FAIL kernels: $1"
        failed=$((failed + 1))
    else
        echo "skip kernels: $1"
        skipped=$((skipped + 1))
    fi
}

# In virtual machines with the kernels that this host is not running.
kernels() {
    local log rc p f s
    if ! command -v qemu-system-x86_64 >/dev/null || [ "$(uname -m)" != x86_64 ]; then
        no_kernels "qemu-system-x86_64 is not installed (scripts/install-deps.sh kernels)"
        return
    fi
    log=$(mktemp)
    "$MAKE" --no-print-directory test-kernels >"$log" 2>&1
    rc=$?
    grep -v '^    ok' "$log"
    if [ "$rc" != 0 ] && grep -q '^kernel-test: ' "$log"; then
        no_kernels "$(sed -n 's/^kernel-test: //p' "$log" | tail -n 1)"
    elif read -r p f s < <(sed -n \
        's/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' "$log" | tail -n 1); then
        passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    else
        echo "FAIL kernels: they did not come to their end"
        failed=$((failed + 1))
    fi
    rm -f "$log"
}

# Here too, for whoever sees only the end of it.
recall() {
    sed -n 's/^ *\(not ok .*\)/FAIL kernels: \1/p; /^FAIL [a-z0-9_.]*: /p; /^unsteady /p' "$said" |
        sort -u
}

{
    unit "$@"
    fuzz
    e2e
    kernels
} > >(tee "$said") 2>&1
wait "$!" # for tee: the sum is the last line
recall
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
