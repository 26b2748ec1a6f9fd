#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# sysroot.sh ARCH - what building for another architecture (arm64) needs of Debian: headers,
# libraries, and the programs that its virtual machines get. Prints the directory.
#
# The packages are those that install-deps.sh names for building, unpacked below ~/.cache, about
# 40 MB to fetch; nothing is installed. Fetched once, and again when the list has changed.
#
# Needs: apt-get dpkg-deb flock
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=scripts/apt-root.sh
source ./apt-root.sh

ARCH=${1:?usage: sysroot.sh ARCH}
SUITE=bookworm
CACHE=${OBS_SYSROOTS:-${XDG_CACHE_HOME:-$HOME/.cache}/gswarm-observer/sysroots}
ROOT=$CACHE/$ARCH
TMP=$ROOT.tmp

# The libraries of a build on this machine, what gcc brings there, and what guests run.
packages() {
	./install-deps.sh --list build | grep -- '-dev$'
	printf '%s\n' libc6-dev libgcc-12-dev linux-libc-dev
	printf '%s\n' busybox-static e2fsprogs iproute2 logrotate
}

# Absolute links lead out of the root.
relative_links() {
	local link
	find "$1" -type l -lname '/*' | while read -r link; do
		ln -sfnr "$1$(readlink "$link")" "$link"
	done
}

unpack() {
	local dir
	for dir in bin sbin lib; do
		mkdir -p "$TMP/usr/$dir"
		ln -s "usr/$dir" "$TMP/$dir"
	done
	# shellcheck disable=SC2016 # expanded by sh
	printf '%s\0' "$CACHE/apt-$ARCH/archives"/*.deb | TMP=$TMP xargs -0 -P 2 -n 10 sh -ec '
		for deb; do
			dpkg-deb --fsys-tarfile "$deb" |
				tar -x -C "$TMP" --keep-directory-symlink --exclude ./usr/share/doc \
					--exclude ./usr/share/man --exclude ./usr/share/locale
		done' sh
	relative_links "$TMP"
}

fetch() {
	local conf want=$1
	local -a names
	mapfile -t names <<<"$want"
	conf=$(apt_root "$CACHE/apt-$ARCH" $SUITE "$ARCH")
	APT_CONFIG=$conf apt-get -qq update
	APT_CONFIG=$conf apt-get -qq -y -d install "${names[@]}"
	rm -rf "$TMP"
	unpack
	echo "$want" >"$TMP/packages"
	rm -rf "$ROOT" "$CACHE/apt-$ARCH"
	mv "$TMP" "$ROOT"
}

mkdir -p "$CACHE"
exec 9>"$CACHE/lock"
flock 9
want=$(packages)
[ "$(cat "$ROOT/packages" 2>/dev/null || true)" = "$want" ] || fetch "$want" >&2
echo "$ROOT"
