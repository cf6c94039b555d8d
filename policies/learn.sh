#!/usr/bin/env bash
# Learns policies from the workloads: traces one again and again until QUIET rounds in a row (3 if it is not set)
# have shown no new transition.
#
# usage: learn.sh                        every policy of this directory anew, from this machine's programs
#        learn.sh NAME PROGRAM POLICY    one, of a program that may be a copy
#
# SYSFSM is the path of sysfsm; ROUNDS the most rounds (40 if it is not set).
set -euo pipefail
: "${SYSFSM:?the path of the sysfsm binary}"
SYSFSM=$(realpath "$SYSFSM")
here=$(realpath "$(dirname "$0")")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

transitions() { "$SYSFSM" show "$1" 2>/dev/null | awk '$1 == "transitions" { print $2; exit }'; }

# learn NAME POLICY PROGRAM...: PROGRAMs are the same program, the first gives the policy its binary
learn() {
	local name=$1 policy=$2 quiet=0 before=0 round now program work
	shift 2
	local logs=$scratch/$name.logs
	mkdir "$logs"
	for round in $(seq "${ROUNDS:-40}"); do
		for program in "$@"; do
			work=$(mktemp -d -p "$scratch")
			mkdir "$work/logs"
			mkdir "$work/dir"
			RUN="bash $here/trace.sh $work/logs" timeout 120 bash "$here/workloads/$name.sh" "$program" "$work/dir"
			# The copy's runs are runs of the program.
			sed -i "s|$program|$1|g" "$work"/logs/*.strace
			for log in "$work"/logs/*.strace; do
				mv "$log" "$logs/$round-$RANDOM-${log##*/}"
			done
			rm -rf "$work"
		done
		"$SYSFSM" extract --binary "$1" -o "$policy" "$logs"/*.strace 2>"$scratch/extract" || {
			cat "$scratch/extract" >&2
			return 1
		}
		now=$(transitions "$policy")
		if [ "$now" = "$before" ]; then quiet=$((quiet + 1)); else quiet=0; fi
		before=$now
		[ "$quiet" -lt "${QUIET:-3}" ] || break
	done
	printf '%s: %s transitions after %s rounds, the last %s without a new one\n' "$name" "$now" "$round" "$quiet"
}

if [ $# = 3 ]; then
	learn "$1" "$3" "$(realpath -s "$2")"
	exit
fi
[ $# = 0 ] || {
	sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
	exit 2
}
for binary in /usr/bin/{cat,ls,tar,gzip,sqlite3,python3.11,redis-server} /usr/sbin/nginx; do
	name=${binary##*/}
	name=${name/python3*/python3}
	mkdir -p "$scratch/copy"
	# A copy looks for its files elsewhere first: such paths are lawful too.
	cp -L "$binary" "$scratch/copy/${binary##*/}"
	learn "$name" "$here/$name.json" "$binary" "$scratch/copy/${binary##*/}"
done
