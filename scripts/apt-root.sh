# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# apt-root.sh - for `source`: an apt of one's own, which sees one suite of the mirror that this
# machine's apt uses, for one architecture. Nothing is installed here and no sources change.

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

mirror() {
	# shellcheck disable=SC2016 # apt expands it
	env -u APT_CONFIG apt-get indextargets --format '$(REPO_URI)' \
		'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | head -n 1
}

# apt_root DIR SUITE ARCH: print an apt.conf, for APT_CONFIG; what apt keeps lies in DIR
apt_root() {
	local root=$1 uri

	uri=$(mirror)
	if [ -z "$uri" ]; then
		echo "no Debian mirror in this machine's apt sources" >&2
		return 1
	fi
	mkdir -p "$root"/{etc/apt.conf.d,etc/preferences.d,lists/partial,archives/partial}
	: >"$root/status"
	echo "deb [signed-by=$KEYRING] $uri $2 main" >"$root/etc/sources.list"
	cat >"$root/apt.conf" <<-EOF
		APT::Architecture "$3";
		APT::Architectures { "$3"; };
		APT::Install-Recommends "false";
		APT::Sandbox::User "";
		Dir::Etc "$root/etc";
		Dir::Etc::sourceparts "-";
		Dir::State "$root";
		Dir::State::lists "$root/lists";
		Dir::State::status "$root/status";
		Dir::Cache "$root";
		Acquire::Languages "none";
	EOF
	echo "$root/apt.conf"
}
