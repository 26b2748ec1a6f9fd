#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# lint-rules.sh - the house rules of docs/style.md that a machine can check.
#
# A rule is one row of a table below: adding one is adding a row. The C rules are
# matched against statements, one per line, without comments and with the text
# of string literals taken out, so that a rule need not care how lines are broken.
set -euo pipefail
cd "$(dirname "$0")/.."

# scope (path prefix as an extended regex) | forbidden (Perl regex) | but not if it also matches | message
#
# "@" in the third column: no exception. Columns are separated by " ;; ".
RULES='
user/ ;; \bgoto\b ;; @ ;; no goto in user space: owning locals carry cleanup_* instead
user/|tests/ ;; \bcleanup_close\s+int\s+(?!\w+ = ) ;; @ ;; a local fd carries cleanup_close and an initialiser (= -1)
user/|tests/ ;; \bcleanup_close\s+int\s.*,\s*\w+\s*(,|$) ;; \( ;; a local fd carries cleanup_close and an initialiser (= -1)
user/|tests/ ;; ^\tcleanup_\w+\s+[^=]*$ ;; cleanup_close ;; an owning local has an initialiser (= NULL)
user/ ;; ^\tint (\w*fd|.*[ ,]\w*fd)( = -1)?(,|$) ;; \) ;; a local fd carries cleanup_close (borrowed ones are parameters)
user/ ;; \b(open|openat|memfd_create|socket|socketpair|accept4|pipe2|epoll_create1|eventfd|timerfd_create|inotify_init1|dup3)\( ;; CLOEXEC|^(static |extern )|\bint \w+\( ;; a new fd is close-on-exec
user/ ;; \b(accept|pipe|dup|epoll_create|inotify_init|creat)\( ;; ^(static |extern ) ;; use the call that takes a close-on-exec flag
user/(config|enrich|model|parse|pipeline/[^efp]|pipeline/(event|p2pd)|store|stream|sink|util)[^ ]* ;; \bobs_(err|warn|info|debug|log)\( ;; ^#define obs_|^void obs_log\( ;; library modules return errors, they do not log
user/(config|enrich|model|parse|pipeline|store|stream|sink|serve)/ ;; \b(printf|puts|putchar|perror|vprintf)\(|\bf(printf|puts|putc)\(.*\bstd(out|err)\b ;; @ ;; library modules do not talk to people
user/ ;; \b(exit|abort)\( ;; @ ;; only main ends the process: return an error
user/|bpf/ ;; \b(strcpy|strcat|sprintf|vsprintf|gets|strtok|atof|system|popen|alloca|tmpnam|mktemp)\( ;; @ ;; a call with no bound or no error
user/|bpf/|include/ ;; ^#define .*\b(return|goto)\b ;; @ ;; macros do not hide return or goto
include/obs/ ;; \b(bool|long|packed|size_t|char \*|void \*)\b ;; ^_Static_assert ;; wire records: fixed-width types only
bpf/ ;; ^#include ".*\.bpf\.c" ;; @ ;; a probe does not include another probe
user/|include/ ;; ^#include "\.\. ;; @ ;; includes are written from user/ or include/
'

# Which folders a folder of user/ may include, besides itself, util/ and the three data
# headers pipeline/{event,cursor,json}.h. This is the way of the data (docs/design.md):
# each folder knows the one before it. First matching row counts.
#
# files (extended regex under user/) | folders and headers that it may include
INCLUDES='
main\.c            command
command/           *
pipeline/(event|json|cursor|scrub|aggregate)\.   -
pipeline/          *
util/              -
config/            -
parse/             -
stream/            parse
enrich/            -
observe/           obs bpf config enrich parse stream model
model/             -
store/             -
sink/              store
serve/             model store config
alert/             model store config
collect/chain      parse sink
collect/           model config enrich parse
'

fail=0
complain() {
    printf '%s\n' "$*"
    fail=1
}

# Each line of standard input is a breach of the rule $1.
complain_each() {
    local line
    while IFS= read -r line; do
        [ -z "$line" ] || complain "$line  <- $1"
    done
}

# One statement per line as FILE:LINE:STATEMENT; a tab before it = inside a function.
statements() {
    awk '
    FNR == 1 { stmt = ""; comment = 0; body = "" }
    /^\}/    { body = "" }
    {
        s = $0
        gsub(/\\"/, "", s)
        if (comment) {
            if (!match(s, /\*\//)) next
            s = substr(s, RSTART + 2); comment = 0
        }
        if (s !~ /^#include/) gsub(/"[^"]*"/, "\"\"", s)
        gsub(/\/\*([^*]|\*+[^*\/])*\*+\//, "", s)
        sub(/\/\/.*/, "", s)
        if (match(s, /\/\*/)) { s = substr(s, 1, RSTART - 1); comment = 1 }
        gsub(/[ \t]+/, " ", s); sub(/^ /, "", s); sub(/ $/, "", s)
        if (s == "") next
        if (stmt == "") { start = FNR; pre = body }
        more = (s ~ /\\$/)
        sub(/ ?\\$/, "", s)
        stmt = (stmt == "" ? s : stmt " " s)
        if (more) next
        if (stmt ~ /^#/ || s ~ /[;{}:]$/) { print FILENAME ":" start ":" pre stmt; stmt = "" }
        if ($0 == "{") body = "\t"
    }' "$@" | sed -E 's/ ?;$//; s/\{$/{/'
}

check_statements() {
    local all=$1 scope bad but message row hits
    while IFS= read -r row; do
        [ -n "$row" ] || continue
        scope=${row%% ;; *}; row=${row#* ;; }
        bad=${row%% ;; *}; row=${row#* ;; }
        but=${row%% ;; *}; message=${row#* ;; }
        hits=$(grep -E "^($scope)" "$all" | SCOPE="$scope" BAD="$bad" BUT="$but" perl -ne '
            chomp; my ($file, $line, $s) = split /:/, $_, 3;
            next unless $s =~ /$ENV{BAD}/;
            next if $ENV{BUT} ne "@" && $s =~ /$ENV{BUT}/;
            print "$file:$line: $s\n";' || true)
        complain_each "$message" <<<"$hits"
    done <<<"$RULES"
}

allowed_includes() {
    local file=${1#user/} pattern folders
    while read -r pattern folders; do
        [ -n "$pattern" ] || continue
        [[ $file =~ ^$pattern ]] && { echo "$folders"; return; }
    done <<<"$INCLUDES"
    echo -
}

check_includes() {
    local all=$1 file line stmt header folder own allowed
    while IFS=: read -r file line stmt; do
        header=${stmt#*\"}; header=${header%\"*}
        folder=${header%%/*}
        own=${file#user/}; own=${own%%/*}
        case $header in
        obs/failure.h | util/* | pipeline/event.h | pipeline/cursor.h | pipeline/json.h | "$own"/*) continue ;;
        esac
        [ "$own" = observe ] && [[ $header = *.skel.h ]] && continue
        allowed=$(allowed_includes "$file")
        [ "$allowed" = '*' ] && { [ "$folder" != obs ] && continue; }
        [[ " $allowed " = *" $folder "* ]] ||
            complain "$file:$line: includes \"$header\"  <- not on the way of the data (table in $0)"
    done < <(grep -E '^user/[^:]*:[0-9]+:#include "' "$all")
}

check_file_heads() {
    local file first want dual='GPL-2.0-only OR BSD-2-Clause'
    for file in "$@"; do
        first=$(head -n 1 "$file")
        want=BSD-2-Clause
        case $file in bpf/* | include/obs/* | vmlinux/* | *.bpf.c) want=$dual ;; tests/*) [[ $first != *"$dual"* ]] || want=$dual ;; esac
        case $first in
        "/* SPDX-License-Identifier: $want */" | "// SPDX-License-Identifier: $want") ;;
        *) complain "$file:1: first line is not SPDX-License-Identifier: $want" ;;
        esac
        sed -n 2p "$file" | grep -q '^/\*' || complain "$file:2: no comment on what the file is for"
        case $file in
        *.h) grep -q '^#pragma once$' "$file" || complain "$file: no #pragma once" ;;
        esac
    done
}

list() { git ls-files --cached --others --exclude-standard -- "$@" | while read -r f; do [ ! -e "$f" ] || echo "$f"; done; }

mapfile -t sources < <(list 'user/*.[ch]' 'bpf/*.[ch]' 'include/*.h' 'tests/*.[ch]')
all=$(mktemp)
trap 'rm -f "$all"' EXIT
statements "${sources[@]}" >"$all"

check_statements "$all"
check_includes "$all"
check_file_heads "${sources[@]}"

# Observed processes never wait for us: no signal, no ptrace, nothing written into them. Who sends a
# signal sends it to a child of its own (or 0, to ask whether a process lives).
own_children='user/(observe/canary(_child)?|collect/nvidia_smi|store/lock)\.c:'
hits=$(grep -E '^(user|bpf)/' "$all" |
    grep -E ':.*\b(ptrace|process_vm_writev|process_madvise|bpf_(send_signal(_thread|_task)?|probe_write_user))\(' || true)
complain_each 'observed processes never wait for us' <<<"$hits"
hits=$(grep -E '^(user|bpf)/' "$all" | grep -vE "^$own_children" |
    grep -E ':.*\b(kill|killpg|tkill|tgkill|sigqueue|pidfd_send_signal|SYS_(kill|tkill|tgkill|pidfd_send_signal))\b\(?' |
    grep -vE '#include|"' || true)
complain_each 'a signal to a process that may be observed' <<<"$hits"

# The repository stands alone, and nobody commits what the build makes.
hits=$(list '*' | xargs -d '\n' grep -nIE '\.\./sha[r]ed|/work/[a-z]+/' -- 2>/dev/null || true)
complain_each 'refers to something outside the repository' <<<"$hits"
hits=$(git ls-files -- '*.skel.h' '*.o' '*.a' 'build*/*')
complain_each 'made by the build, not to be committed' <<<"$hits"

# The samples and documents name counters that exist.
mapfile -t known < <(sed -n 's/^\tX([^,]*,[ \t]*"\([a-z0-9_]*\)".*/\1/p' user/util/counters.h | sort -u)
hits=$(grep -noE 'gswarm_[a-z0-9_]+_total' configs/alerts.yml | while IFS=: read -r line name; do
    [[ " ${known[*]} " = *" ${name#gswarm_} "* ]] || echo "configs/alerts.yml:$line: $name"
done)
complain_each 'no such counter in user/util/counters.h' <<<"$hits"
hits=$(for name in "${known[@]}"; do
    grep -q "\`${name}[\`{]" docs/operations.md || echo "docs/operations.md: $name"
done)
complain_each 'a counter that the document does not explain' <<<"$hits"

[ $fail = 0 ] && echo "  RULES   ${#sources[@]} files keep the house rules"
exit $fail
