#!/usr/bin/env bash
# Learns policies from the workloads, as root. A workload is traced again and again, until QUIET
# rounds in a row (8 if it is not set) have shown no new transition. Every second round is
# disturbed: strace makes each thread wait after some of its calls, so that threads, children and
# timers overtake each other. strace is slow, and speed changes the order of calls. So the kernel
# then watches a copy at full speed (enforce --log-only), and what it reports is learned too, until
# QUIET rounds of five in a row are silent: five at once, which crowd each other out, then five one
# after another.
#
# usage: learn.sh                        every policy of this directory anew, from this machine's
#                                        programs
#        learn.sh NAME PROGRAM POLICY    one, of a program that may be a copy
#
# SYSFSM is the path of sysfsm; ROUNDS the most rounds (40 if it is not set).
set -euo pipefail
: "${SYSFSM:?the path of the sysfsm binary}"
SYSFSM=$(realpath "$SYSFSM")
# Debian's, whatever else is in the path.
python=/usr/bin/python3
here=$(realpath "$(dirname "$0")")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

transitions() { "$SYSFSM" show "$1" 2>/dev/null | awk '$1 == "transitions" { print $2; exit }'; }

# work NAME PROGRAM LAUNCHER: does the workload once
work() {
	# How long paths and the environment are decides where in its work a program's heap grows.
	local pad dir
	pad=$(printf "%$((RANDOM % 100 + 1))s" '' | tr ' ' p)
	dir=$(mktemp -d -p "$scratch" "XXXXXXXX$pad")
	PAD=$pad$pad RUN=$3 timeout 120 bash "$here/workloads/$1.sh" "$2" "$dir"
	rm -rf "$dir"
}

# watch NAME POLICY PROGRAM CROWD: adds what the kernel sees and the policy has not, and prints how
# many transitions that was
watch() {
	local bound=$scratch/bound.json events=$scratch/events watcher works=()
	"$python" - "$2" "$3" "$bound" <<-'PYTHON'
		import json, sys
		policy = json.load(open(sys.argv[1]))
		policy["binary"] = sys.argv[2]
		json.dump(policy, open(sys.argv[3], "w"))
	PYTHON
	: >"$events"
	timeout 300 "$SYSFSM" enforce --json --log-only --policy "$bound" >"$events" 2>"$scratch/errors" &
	watcher=$!
	until grep -q '"event":"start"' "$events"; do
		kill -0 "$watcher" || {
			cat "$scratch/errors" >&2
			return 1
		}
		sleep 0.05
	done
	for _ in 1 2 3 4 5; do
		# At full speed there is time for more.
		OFTEN=30 work "$1" "$3" "" &
		works+=($!)
		[ "$4" = crowd ] || wait "${works[-1]}"
	done
	for work in "${works[@]}"; do wait "$work"; done
	kill "$watcher"
	wait "$watcher"
	# At depth 2 a violation's context and symbol are the transition. After one the context may
	# be unknown.
	"$python" - "$2" "$events" <<-'PYTHON'
		import json, sys
		policy, new = json.load(open(sys.argv[1])), set()
		for event in map(json.loads, open(sys.argv[2])):
		    if event["event"] == "stop":
		        totals = event["totals"]
		        assert totals["events_lost"] == 0 and totals["judged"] > 0, event
		    elif event["event"] == "violation" and event["reason"] == "transition" and event["context"]:
		        new.add((" ".join(event["context"]), event["symbol"]))
		for context, symbol in new:
		    policy["transitions"].setdefault(context, {})[symbol] = {"calls": 1, "runs": 1}
		if new:
		    json.dump(policy, open(sys.argv[1], "w"), indent=2, sort_keys=True)
		    open(sys.argv[1], "a").write("\n")
		print(len(new))
	PYTHON
}

# learn NAME POLICY PROGRAM...: PROGRAMs are the same program, the first gives the policy its binary
learn() {
	local name=$1 policy=$2 quiet=0 before=0 round now program current
	local silent=0 seen added=0 crowd=crowd
	shift 2
	local logs=$scratch/$name.logs
	mkdir "$logs"
	for round in $(seq "${ROUNDS:-40}"); do
		for program in "$@"; do
			current=$logs/$round-$RANDOM
			mkdir "$current"
			# Up to 1 ms, after one call in 5 to 24.
			if [ $((round % 2)) = 0 ]; then
				export DISTURB=delay_exit=$((RANDOM % 1000 + 1)):when=$((RANDOM % 20 + 1))+$((RANDOM % 20 + 5))
			else
				unset DISTURB
			fi
			# The system's program is traced with the heap that it has, too.
			HEAP=$(if [ "$program" != "${@: -1}" ]; then echo natural; fi) \
				work "$name" "$program" "bash $here/trace.sh $current"
			# The copy's runs are runs of the program.
			sed -i "s|$program|$1|g" "$current"/*.strace
		done
		"$SYSFSM" extract --binary "$1" -o "$policy" "$logs"/*/*.strace 2>"$scratch/extract" || {
			cat "$scratch/extract" >&2
			return 1
		}
		now=$(transitions "$policy")
		if [ "$now" = "$before" ]; then quiet=$((quiet + 1)); else quiet=0; fi
		before=$now
		[ "$quiet" -lt "${QUIET:-8}" ] || break
	done
	for _ in $(seq "${ROUNDS:-40}"); do
		seen=$(watch "$name" "$policy" "${@: -1}" "$crowd")
		if [ -z "$crowd" ]; then crowd=crowd; else crowd=; fi
		added=$((added + seen))
		if [ "$seen" = 0 ]; then silent=$((silent + 1)); else silent=0; fi
		[ "$silent" -lt "${QUIET:-8}" ] || break
	done
	printf '%s: %s transitions after %s traced rounds, and %s more at full speed; then %s silent rounds of 5\n' \
		"$name" "$now" "$round" "$added" "$silent"
	rm -rf "$logs"
}

if [ $# = 3 ]; then
	learn "$1" "$3" "$(realpath -s "$2")"
	exit
fi
[ $# = 0 ] || {
	sed -n '2,/^set /s/^# \{0,1\}//p' "$0" >&2
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
