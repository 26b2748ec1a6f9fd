#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# lint-links.sh - every relative link in the documents leads to a file of the repository.
set -euo pipefail
cd "$(dirname "$0")/.."

fail=0 n=0
while IFS=: read -r file line link; do
    target=${link#*](}
    target=${target%)}
    target=${target%%#*}
    case $target in '' | http://* | https://* | mailto:*) continue ;; esac
    n=$((n + 1))
    [ -e "$(dirname "$file")/$target" ] || {
        echo "$file:$line: no such file: $target"
        fail=1
    }
done < <(git ls-files --cached --others --exclude-standard -- '*.md' | xargs -d '\n' grep -noE '\]\([^)]+\)' --)
[ $fail = 0 ] && echo "  LINKS   $n links"
exit $fail
