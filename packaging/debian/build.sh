#!/usr/bin/env bash
# Builds the Debian package from what `make install` installs.
#
# build.sh VERSION BINARY PACKAGE: BINARY is the built sysfsm, PACKAGE the file to write
set -euo pipefail

version=$1 binary=$(realpath "$2") package=$3
here=$(realpath "$(dirname "$0")")
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
umask 022
chmod 755 "$root"

# The same commit gives the same package.
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
	SOURCE_DATE_EPOCH=$(git -C "$here" log -1 --format=%ct 2>/dev/null || stat -c %Y "$here/../../Cargo.toml")
fi
export SOURCE_DATE_EPOCH

make --no-print-directory -C "$here/../.." install DESTDIR="$root" PREFIX=/usr BINARY="$binary" >/dev/null
strip --strip-unneeded --remove-section=.comment "$root/usr/bin/sysfsm"
# Debian's zsh looks for what packages bring in another place than for what administrators do.
mkdir -p "$root/usr/share/zsh"
mv "$root/usr/share/zsh/site-functions" "$root/usr/share/zsh/vendor-completions"
find "$root/usr/share/man" -type f -exec gzip -9n {} +

install -d "$root/etc/sysfsm/policies"
install -m 644 "$here/sysfsm.conf" "$root/etc/sysfsm/sysfsm.conf"

doc=$root/usr/share/doc/sysfsm
mv "$doc/LICENSE" "$doc/copyright"
gzip -9n >"$doc/changelog.gz" <<-CHANGELOG
	sysfsm ($version) unstable; urgency=medium

	  * Release $version.

	 -- sysfsm maintainers <maintainers@sysfsm.invalid>  $(date -uRd "@$SOURCE_DATE_EPOCH")
CHANGELOG

install -d "$root/DEBIAN"
install -m 755 "$here/postinst" "$here/prerm" "$here/postrm" "$root/DEBIAN"
install -m 644 "$here/conffiles" "$root/DEBIAN/conffiles"
# The oldest libc that has every function which the binary takes from it.
libc=$(objdump -T "$root/usr/bin/sysfsm" | grep -o 'GLIBC_[0-9.]*' | sed 's/GLIBC_//' | sort -V | tail -n 1)
size=$(du -k -s --apparent-size --exclude=DEBIAN "$root" | cut -f1)
sed -e "s/@VERSION@/$version/" -e "s/@SIZE@/$size/" -e "s/@LIBC@/$libc/" "$here/control.in" >"$root/DEBIAN/control"
# For `dpkg --verify`. Not of conffiles, which may be changed.
(cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
chmod 644 "$root/DEBIAN/control" "$root/DEBIAN/md5sums"

mkdir -p "$(dirname "$package")"
dpkg-deb --root-owner-group -Zxz --build "$root" "$package" >/dev/null
echo "$package"
