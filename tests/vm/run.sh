#!/usr/bin/env bash
# Boots stock Debian kernels in QEMU (emulated: KVM is not to be counted on), two at a time, runs the kernel tests in
# each, and prints one table: kernel × group of tests, with the seconds that each took. A group without a verdict has
# failed. The console of a guest that failed is printed; what the battery found is in every console.
#
# usage: run.sh [KERNEL...]      of those that `kernels` below lists; all of them without one
#
# LOGS is a directory for the guests' consoles (a temporary one if it is not set), GROUPS_ONLY a list of groups of
# tests (all of them).
set -euo pipefail
here=$(realpath "$(dirname "$0")")
root=$(realpath "$here/../..")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
logs=${LOGS:-$work/logs}
mkdir -p "$logs"

all_lsm=lsm=landlock,lockdown,yama,integrity,apparmor,bpf
no_bpf_lsm=lsm=landlock,lockdown,yama,integrity,apparmor
# Of the groups only these have to do with the list of LSMs: the others enforce at level kill.
of_level=doctor,veto,battery,first
# name, suite, LSM list, which groups, the level that `enforce` has to reach
kernels="
newest         trixie-backports    $all_lsm     all               prevent
6.12           bookworm-backports  $all_lsm     all,crowded       contain
6.1            bookworm            $all_lsm     all               contain
6.12-no-lsm    bookworm-backports  $no_bpf_lsm  $of_level         contain
newest-no-lsm  trixie-backports    $no_bpf_lsm  doctor,battery,first prevent
5.10           bullseye            $all_lsm     refusal           none
"
# One processor a guest, and two of the machine's. With more guests each is often stopped in the midst of what is a few
# instructions long, as no real processor would be: a program on a function is then left out for others (bpf/preempt.h).
at_once=2

. "$here/groups.sh"
. "$here/guest.sh"

# boot NAME IMAGE LSM: its console into NAME.log. The emulator keeps translated code by its virtual address: with `norandmaps`
# programs start four times as fast, since none has to have its libraries translated anew. On a machine with much to do
# the kernel takes the emulated clock for unstable, and programs that never read clocks by calls do so from then on: with
# `tsc=reliable` it does not.
boot() {
	local initramfs=$work/$1.cpio
	cat "$work/guest.cpio" <(cd "$work/$1" && echo groups | busybox cpio -o -H newc) >"$initramfs"
	timeout 2400 nice -n "$behind" qemu-system-x86_64 -accel tcg,thread=multi -cpu max,-cx16,-erms,-fsrm,-la57 -smp 1 -m 1024 -nodefaults -nographic \
		-no-reboot -serial stdio -kernel "$2" -initrd "$initramfs" \
		-append "console=ttyS0 quiet panic=-1 oops=panic norandmaps tsc=reliable $3" </dev/null 2>&1 |
		stdbuf -o0 tr -d '\r' >"$logs/$1.log" || true
	rm -f "$initramfs"
}

# verdict NAME GROUP: its cell of the table
verdict() {
	awk -v group="$2" '$1 == "VERDICT" && $2 == group { cell = $3 == 0 ? $4 " s" : "FAILED"; exit }
		END { print cell ? cell : "NONE" }' "$logs/$1.log"
}

# row NAME: its line of the table; fails if a group has failed, or none was to run
row() {
	local line column cell=NONE bad=0 wanted
	wanted=" $(cut -d' ' -f1 "$work/$1/groups" | tr '\n' ' ') "
	line=$(printf '%-14s %-24s' "$1" "$(awk '$1 == "KERNEL" { print $2; exit }' "$logs/$1.log")")
	# The kernel that is refused has a single group, in no column.
	for column in ${columns[@]} refusal; do
		if [[ "$wanted" == *" $column "* ]]; then
			cell=$(verdict "$1" "$column")
			[[ "$cell" == *s ]] || bad=1
			[ "$column" != refusal ] || cell="refusal: $cell"
		elif [ "$wanted" = " refusal " ] || [ "$column" = refusal ]; then
			continue
		else
			cell=-
		fi
		line+=$(printf ' %9s' "$cell")
	done
	echo "$line"
	[ $bad = 0 ] && [ -s "$work/$1/groups" ]
}

build_guest
begun=$SECONDS
# The first takes longest: the others only have what it leaves, else all would wait for it in the end.
behind=0
names=()
while read -r name from lsm groups level; do
	[ -n "$name" ] || continue
	[ $# = 0 ] || [[ " $* " == *" $name "* ]] || continue
	names+=("$name")
	mkdir "$work/$name"
	groups_of "$groups" "$level" >"$work/$name/groups"
	image=$(bash "$here/kernels.sh" "$from")
	while [ "$(jobs -pr | wc -l)" -ge $at_once ]; do wait -n || true; done
	boot "$name" "$image" "$lsm" &
	behind=5
done <<<"$kernels"
wait

failed=()
printf '%-14s %-24s' kernel release
columns=($(groups_of all,crowded none | cut -d' ' -f1))
printf ' %9s' "${columns[@]}"
echo
for name in "${names[@]}"; do row "$name" || failed+=("$name"); done
# What was measured besides, of each guest: how the battery went, what the verifier walked through, the lawful workloads.
for name in "${names[@]}"; do
	sed -nE "s/^\| (.* as it should be|[0-9]+ workloads, .*)$/$name: \1/p" "$logs/$name.log"
	awk -v name="$name" '$2 == "verified" { n++; if ($4 > most) { most = $4; which = $3 } }
		END { if (n) print name ": " n " programs verified, the longest " which ": " most " instructions" }' "$logs/$name.log"
done
echo "${#names[@]} guests in $((SECONDS - begun)) s"
for name in "${failed[@]}"; do sed "s/^/    $name: /" "$logs/$name.log" >&2; done
[ ${#failed[@]} = 0 ] && [ ${#names[@]} -gt 0 ]
