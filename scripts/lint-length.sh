#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# lint-length.sh - no function body over 100 lines in user/, bpf/ and tests/.
#
# Prints median and 90th percentile too (what we aim for stands in docs/style.md).
# Counts the lines between a "{" and a "}" that stand alone in the first column:
# clang-format, which runs before this, puts functions there and nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."

max=${1:-100}

git ls-files --cached --others --exclude-standard -- \
    'user/*.[ch]' 'bpf/*.[ch]' 'tests/*.[ch]' |
    while read -r file; do
        [ -e "$file" ] && awk -v file="$file" '
            /^[A-Za-z_].*\(/ { head = $0 }
            /^{$/            { start = NR }
            /^}/ && start    { print NR - start - 1, file ":" start, head; start = 0 }
        ' "$file"
    done | sort -n | awk -v max="$max" '
        { n++; lines[n] = $1 }
        $1 > max {
            size = $1; where = $2; sub(/^[^ ]+ [^ ]+ /, "")
            printf "%s: %d lines, at most %d: %s\n", where, size, max, $0
            bad = 1
        }
        END {
            if (n)
                printf "  LENGTH  %d functions: median %d, p90 %d, longest %d lines (aim: 14, 40; limit %d)\n",
                    n, lines[int((n + 1) / 2)], lines[int(n * 0.9 + 0.999)], lines[n], max
            exit bad
        }'
