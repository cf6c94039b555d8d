#!/usr/bin/env bash
# Fetches a stock Debian kernel of a suite, whatever suite this machine is of, and prints the path of its image.
# The system's own sources are left alone: apt gets a configuration of its own, with the mirror that the
# machine's apt uses. What was fetched is kept outside of the tree.
#
# usage: kernels.sh SUITE
set -euo pipefail
suite=${1:?a suite, such as bookworm}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sysfsm/kernels/$suite
mkdir -p "$cache"

mirror=$(apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' |
	awk -v own="$(. /etc/os-release && echo "$VERSION_CODENAME")" '$1 == own { print $2; exit }')
[ -n "$mirror" ] || {
	echo "kernels.sh: the machine's apt names no mirror" >&2
	exit 1
}
mkdir -p "$cache"/{lists/partial,archives/partial}
printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$mirror" "$suite" >"$cache/sources.list"
options=(
	-o "Dir::Etc::sourcelist=$cache/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$cache/lists"
	-o Dir::State::status=/dev/null -o "Dir::Cache=$cache" -o "Dir::Cache::archives=$cache/archives"
	-o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Check-Valid-Until=false
)
# A day is young enough.
if [ -z "$(find "$cache/lists" -name '*Packages*' -mtime -1 -print -quit)" ]; then
	apt-get "${options[@]}" -qq update >&2
fi
# linux-image-cloud-amd64 depends on the point release, and that, from 6.19 on, on linux-binary-*.
depends() { apt-cache "${options[@]}" depends --important "$1" | sed -n 's/^ *Depends: *//p'; }
image=$(depends linux-image-cloud-amd64 | grep -m1 '^linux-image-[0-9]')
binary=$(depends "$image" | grep -m1 '^linux-binary-' || echo "$image")
kernel=$cache/$binary.vmlinuz
if [ ! -s "$kernel" ]; then
	work=$(mktemp -d -p "$cache")
	trap 'rm -rf "$work"' EXIT
	(cd "$work" && apt-get "${options[@]}" -qq download "$binary" >&2)
	dpkg-deb --fsys-tarfile "$work"/*.deb |
		tar -x -C "$work" --wildcards './boot/vmlinuz*' './usr/lib/modules/*/vmlinuz' 2>/dev/null || true
	find "$work" -type f -name 'vmlinuz*' -print -quit | xargs -I{} mv {} "$kernel"
fi
[ -s "$kernel" ] || {
	echo "kernels.sh: no kernel image in $binary of $suite" >&2
	exit 1
}
printf '%s\n' "$kernel"
