#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# compile-commands.sh COMPILER FLAG... -- FILE... [++ COMPILER FLAG... -- FILE...]
#
# Prints a compilation database: one entry per file, with the flags before its "--".
set -euo pipefail

string() {
    local s=${1//\\/\\\\}
    printf '"%s"' "${s//\"/\\\"}"
}

flags=() comma='' files=0
dir=$(string "$PWD")
echo '['
for arg in "$@"; do
    case $arg in
    --) files=1 ;;
    ++) files=0 flags=() ;;
    *)
        if [ $files = 0 ]; then
            flags+=("$arg")
            continue
        fi
        printf '%b{ "directory": %s, "file": %s, "arguments": [' "$comma" "$dir" "$(string "$arg")"
        for flag in "${flags[@]}"; do
            string "$flag"
            printf ', '
        done
        printf '"-c", %s] }' "$(string "$arg")"
        comma=',\n'
        ;;
    esac
done
printf '\n]\n'
