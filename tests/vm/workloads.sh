#!/usr/bin/env bash
# In a guest: lawful work is not hurt. Every workload of policies/, and the lawful programs of the tests, run 20 times
# under enforcement at the level that the kernel has to reach: no violation, and the output and the exit status of a
# run without enforcement.
#
# The policies are allow-lists (depth 1), recorded here: an emulated machine is so slow that the order of calls is
# chance, and it is the veto that is on trial, not the automaton.
#
# usage: workloads.sh TARGET LEVEL      TARGET is cargo's directory with sysfsm and tests/programs
#
# RUNS: how often, 20 if it is not set. ONLY: names of workloads.
set -euo pipefail
target=$1 level=$2 runs=${RUNS:-20}
workloads=$(realpath "$(dirname "$0")/../../policies/workloads")
export LIGHT=1
dir=$(mktemp -d)
mkdir "$dir"/{bin,recorded,policies,plain,under,places}

# Calls that a program makes or not, as its timing has it.
margin='brk clock_nanosleep clone clone3 epoll_wait exit exit_group fork futex getpid gettid madvise mmap mprotect mremap
	munmap nanosleep poll ppoll pselect6 restart_syscall rt_sigaction rt_sigprocmask rt_sigreturn rt_sigsuspend
	sched_yield select vfork wait4'

fail() {
	printf '%s\n' "$@" >&2
	exit 1
}

# Name → program. Each is a copy: a policy binds a file, and the scripts use the originals.
declare -A programs
for name in cat ls tar gzip find grep sort xz perl sqlite3 python3 bash make nginx redis-server; do
	programs[$name]=$(type -P $name)
done
for name in signals forks threads; do programs[$name]=$target/$name; done
names=$(printf '%s\n' "${!programs[@]}" | sort)
names=${ONLY:-$names}
for name in $names; do cp -L "${programs[$name]}" "$dir/bin/$name"; done

# work NAME OUT: does the workload once, what it prints and its exit status into OUT. Every command of its own would
# cost a tenth of a second.
work() {
	local status=0 place=$dir/places/$1
	case $1 in
	signals | forks) "$dir/bin/$1" ;;
	threads) "$dir/bin/$1" 4 <<<work ;;
	*) bash "$workloads/$1.sh" "$dir/bin/$1" "$place" </dev/null ;;
	esac >"$2" 2>&1 || status=$?
	echo "status $status" >>"$2"
}
# before each round
clean() {
	rm -rf "$dir/places"
	mkdir "$dir/places" $(printf "$dir/places/%s " $names)
}

# started PID FILE: waits for the start event
started() {
	until grep -Eq '"event":"(record_)?start"' "$2"; do
		kill -0 "$1" 2>/dev/null || fail "it does not start:" "$(cat "$dir/errors")"
		sleep 0.1
	done
}
# stop PID
stop() {
	kill "$1"
	wait "$1" || fail "it does not end well:" "$(cat "$dir/errors")"
}
total() { grep '"event":"stop"' "$dir/events" | grep -o "\"$1\":[0-9]*" | cut -d: -f2; }

begun=$SECONDS
"$target/sysfsm" record --json --depth 1 -o "$dir/recorded/" --binary $(printf "$dir/bin/%s " $names) 2>"$dir/errors" &
recorder=$!
started $recorder "$dir/errors"
for place in plain under; do
	clean
	for name in $names; do
		began=${EPOCHREALTIME/./}
		work "$name" "$dir/$place/$name"
		echo "| $name: $(((${EPOCHREALTIME/./} - began) / 1000)) ms without enforcement"
		grep -qx 'status 0' "$dir/$place/$name" || fail "$name does not work here:" "$(cat "$dir/$place/$name")"
	done
done
stop $recorder
symbols=$(printf '"%s",' $margin)
for name in $names; do
	printf '{"sysfsm":1,"binary":"%s","depth":1,"transitions":{"":[%s]}}\n' "$dir/bin/$name" "${symbols%,}" >"$dir/margin"
	"$target/sysfsm" merge "$dir/recorded/$name.json" "$dir/margin" -o "$dir/policies/$name.json"
done
echo "| recorded, $((SECONDS - begun)) s"

"$target/sysfsm" enforce --json --require "$level" --policy "$dir/policies" >"$dir/events" 2>"$dir/errors" &
enforcer=$!
started $enforcer "$dir/events"
different=0
for run in $(seq "$runs"); do
	clean
	for name in $names; do
		work "$name" "$dir/under/$name"
		[ "$(<"$dir/plain/$name")" != "$(<"$dir/under/$name")" ] || continue
		different=$((different + 1))
		printf '%s\n' "$name, run $run, differs:" "$(diff "$dir/plain/$name" "$dir/under/$name")" >&2
	done
done
stop $enforcer
reached=$(grep '"event":"start"' "$dir/events" | grep -o '"level":"[^"]*"')
echo "| $(wc -w <<<"$names") workloads, $runs runs each, ${reached}: $(total judged) calls judged, $(total violations)" \
	"violations, $different differences; $((SECONDS - begun)) s"
grep '"event":"violation"' "$dir/events" >&2 || true
[ "$(total violations)" = 0 ] && [ "$(total judged)" -gt 0 ] && [ $different = 0 ]
