#!/usr/bin/env bash
# Boots stock Debian kernels in QEMU (emulated: KVM is not to be counted on), runs the kernel tests in each, and
# prints one table: kernel × group of tests, with the seconds that each took. A guest without a verdict has failed.
#
# usage: run.sh [KERNEL...]      of those that `kernels` below lists; all of them without one
#
# LOGS is a directory for the guests' consoles (a temporary one if it is not set).
set -euo pipefail
here=$(realpath "$(dirname "$0")")
root=$(realpath "$here/../..")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
logs=${LOGS:-$work/logs}
mkdir -p "$logs"

all_lsm=lsm=landlock,lockdown,yama,integrity,apparmor,bpf
no_bpf_lsm=lsm=landlock,lockdown,yama,integrity,apparmor
# name, suite, kernel command line, groups, level of enforcement
kernels="
5.10          bullseye            $all_lsm     refusal
6.1           bookworm            $all_lsm     suite    contain
6.12          bookworm-backports  $all_lsm     suite    contain
newest        trixie-backports    $all_lsm     suite    prevent
6.12-no-lsm   bookworm-backports  $no_bpf_lsm  suite    contain
"
# What the suite is: a name for the table, a test binary, and what it is asked to run. These kernels have overlayfs as a
# module only, and a guest has no modules.
suite="
battery   kernel    battery:: --ignored --nocapture
"
# Programs that the tests start.
programs="bash dash sh strace unshare mount true cat cp mkdir mkfifo sleep seq kill env id"

# Test binary → path, as cargo built them.
declare -A tests
while read -r name path; do tests[$name]=$path; done < <(
	cd "$root" && cargo test --release --no-run --message-format=json 2>/dev/null | /usr/bin/python3 -c '
import json, sys
for message in map(json.loads, sys.stdin):
    if message.get("executable") and message["target"]["kind"] == ["test"]:
        print(message["target"]["name"], message["executable"])'
)
target=$(dirname "$(dirname "${tests[kernel]:?cargo has built no kernel tests}")")

# put FILE...: into the guest's file system, at the same path, with the libraries that it needs
put() {
	local file
	for file in "$@" $(ldd "$@" 2>/dev/null | grep -o '/[^ :]*'); do
		[ -e "$guest$file" ] || install -D "$file" "$guest$file"
	done
}

guest=$work/guest
mkdir -p "$guest"/{proc,sys,dev,mnt,tmp,root,etc,usr/bin,usr/sbin,usr/lib,usr/lib64}
for directory in bin sbin lib lib64; do ln -s "usr/$directory" "$guest/$directory"; done
for program in $programs; do put "$(type -P "$program")"; done
put "$(type -P busybox)" "$target/sysfsm" "$target"/examples/{victim,forks,threads,signals,crowd,battery}
for name in equality refusals kernel; do put "${tests[$name]}"; done
# Of the host's policies and sources nothing is needed but this name.
mkdir -p "$guest$root"
echo 'root:x:0:0::/root:/bin/sh' >"$guest/etc/passwd"
install -m 755 "$here/init" "$guest/init"
groups_of() {
	local name binary filter level=${2:-}
	case $1 in
	refusal) echo "refusal ! $target/sysfsm doctor && ! $target/sysfsm enforce --policy /policy.json" ;;
	suite)
		while read -r name binary filter; do
			[ -z "$name" ] || echo "$name BATTERY_LEVEL=$level ${tests[$binary]} --test-threads=2 $filter"
		done <<<"$suite"
		;;
	esac
}
echo '{"sysfsm": 1, "binary": "/bin/true", "transitions": {"execve": ["brk"]}}' >"$guest/policy.json"

# boot NAME SUITE LSM GROUPS LEVEL: one line for each verdict, into NAME.verdicts
boot() {
	local image initramfs=$work/$1.cpio log=$logs/$1.log
	image=$(bash "$here/kernels.sh" "$2")
	groups_of "$4" "$5" >"$work/$1.groups"
	(
		cd "$guest"
		find . -print0 | busybox cpio -0 -o -H newc
		cd "$work" && mkdir "$1" && cp "$1.groups" "$1/groups" && cd "$1" && echo groups | busybox cpio -o -H newc
	) >"$initramfs"
	timeout 900 qemu-system-x86_64 -accel tcg,thread=multi -cpu max,-cx16 -smp 2 -m 1024 -nodefaults -nographic \
		-no-reboot -serial stdio -kernel "$image" -initrd "$initramfs" \
		-append "console=ttyS0 quiet panic=-1 oops=panic $3" </dev/null 2>&1 | stdbuf -o0 tr -d '\r' >"$log" || true
	rm -f "$initramfs"
}

failed=0
printf '%-12s %-32s' kernel release
printf ' %9s' $(awk 'NF { print $1 }' <<<"$suite")
echo
while read -r name from lsm groups level; do
	[ -n "$name" ] || continue
	[ $# = 0 ] || [[ " $* " == *" $name "* ]] || continue
	boot "$name" "$from" "$lsm" "$groups" "$level"
	log=$logs/$name.log
	row=$(printf '%-12s %-32s' "$name" "$(awk '$1 == "KERNEL" { print $2; exit }' "$log")")
	wanted=$(awk '{ print $1 }' "$work/$name.groups")
	for group in $wanted; do
		verdict=$(awk -v group="$group" '$1 == "VERDICT" && $2 == group { print $3, $4; exit }' "$log")
		case $verdict in
		'0 '*) cell="${verdict#0 } s" ;;
		'') cell=NONE failed=1 ;;
		*) cell=FAILED failed=1 ;;
		esac
		[ "$groups" = suite ] && row+=$(printf ' %9s' "$cell") || row+=" $group: $cell"
	done
	echo "$row"
	[[ $row != *FAILED* && $row != *NONE* ]] || sed "s/^/    $name: /" "$log" >&2
done <<<"$kernels"
exit $failed
