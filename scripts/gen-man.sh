#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# gen-man.sh [PROGRAM [DIRECTORY]] - write the man pages from the program's own tables.
#
# gswarm-observer.8 from the commands' help, gswarm-observer.yaml.5 from the table of
# config keys. Default: build/gswarm-observer and docs/man.
set -euo pipefail

program=${1:-build/gswarm-observer}
directory=${2:-docs/man}

# Text as it stands, for between .nf and .fi.
roff() {
    sed -e 's/\\/\\e/g' -e 's/-/\\-/g' -e "s/^[.']/\\\\\&&/"
}

title() {
    printf '.\\" Made by scripts/gen-man.sh; edit the tables it reads instead.\n'
    printf '.TH %s %s "" "gswarm\\-observer" "%s"\n' "$1" "$2" "$3"
}

commands() {
    "$program" --help | sed -n '/^commands:$/,/^$/s/^  \([a-z0-9-]*\) .*/\1/p'
}

# Usage, then options, then the rest, as --help prints them.
command_section() {
    local name=$1
    printf '.SS %s\n.nf\n' "$(roff <<<"$name")"
    "$program" "$name" --help | roff
    printf '.fi\n'
}

daemon_page() {
    local name
    title GSWARM-OBSERVER 8 "System administration"
    cat <<'EOF'
.SH NAME
gswarm\-observer \- watch Gensyn RL\-Swarm nodes from the kernel
.SH SYNOPSIS
.B gswarm\-observer
.I COMMAND
.RI [ OPTION ]...
.SH DESCRIPTION
Watches the RL\-Swarm nodes of this host, containers or plain processes, with eBPF: without
touching, mounting into or configuring them. What they do becomes events, which are kept in
a store and sent where the configuration says.
.SH COMMANDS
EOF
    for name in $(commands); do
        command_section "$name"
    done
    cat <<'EOF'
.SH FILES
The configuration is the file named by
.BR \-c ,
else by
.BR $CONFIG_PATH ,
else
.IR configs/config.yaml ,
else
.IR /etc/gswarm\-observer/config.yaml .
.SH EXIT STATUS
0 when it worked, 1 when it could not be done, 2 for bad arguments or a bad configuration.
.SH SEE ALSO
.BR gswarm\-observer.yaml (5)
EOF
}

config_page() {
    title GSWARM-OBSERVER.YAML 5 "File formats"
    cat <<'EOF'
.SH NAME
gswarm\-observer.yaml \- configuration of gswarm\-observer
.SH DESCRIPTION
A YAML file of at most 1 MiB. Nothing in it has to be set. A dot in a name below stands for a
section: store.max_bytes is the key max_bytes, indented below store:.
.PP
Sizes are bytes, or numbers with KiB, MiB, GiB, TiB, KB, MB, GB or TB. Durations are seconds, or
numbers with ms, s, m, h or d. Relative paths start at the directory in which the observer was
started. An environment variable, where one is named, counts more than the file. Of two names for
one setting, the one further up in this list counts.
.PP
Unknown keys are warnings that name the nearest known key; values of a wrong type or out of range
are errors.
.B gswarm\-observer check\-config
checks a file and prints what it amounts to.
.SH KEYS
EOF
    "$program" check-config --keys --man
    cat <<'EOF'
.SH SEE ALSO
.BR gswarm\-observer (8)
EOF
}

mkdir -p "$directory"
daemon_page >"$directory/gswarm-observer.8"
config_page >"$directory/gswarm-observer.yaml.5"
