#!/usr/bin/env bash
# In a guest: lawful work is not hurt. Every workload of policies/, and the lawful examples of the tests, run 20 times
# under enforcement at the level that the kernel has to reach: no violation, and the output and the exit status of a
# run without enforcement.
#
# The policies are allow-lists (depth 1), learned here: an emulated machine is so slow that the order of calls is
# chance, and it is the veto that is on trial, not the automaton.
#
# usage: workloads.sh TARGET LEVEL      TARGET is cargo's directory with sysfsm and examples/
#
# RUNS: how often, 20 if it is not set. ONLY: names of workloads.
set -euo pipefail
target=$1 level=$2 runs=${RUNS:-20}
workloads=$(realpath "$(dirname "$0")/../../policies/workloads")
export LIGHT=1
dir=$(mktemp -d)
mkdir "$dir"/{bin,policies,plain,under,places}

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
for name in signals forks threads; do programs[$name]=$target/examples/$name; done
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

# enforce OPTION...: starts it, events into $dir/events
enforce() {
	: >"$dir/events"
	"$target/sysfsm" enforce --json "$@" --policy "$dir/policies" >"$dir/events" 2>"$dir/errors" &
	enforcer=$!
	until grep -q '"event":"start"' "$dir/events"; do
		kill -0 $enforcer 2>/dev/null || fail "enforce does not start: $(cat "$dir/errors")"
		sleep 0.1
	done
}
stop() {
	kill $enforcer
	wait $enforcer || fail "enforce: $(cat "$dir/errors")"
}
total() { grep '"event":"stop"' "$dir/events" | grep -o "\"$1\":[0-9]*" | cut -d: -f2; }

# write NAME SYMBOL...: its policy
write() {
	local name=$1 symbols
	shift
	symbols=$(printf '"%s",' "$@")
	printf '{"sysfsm":1,"binary":"%s","depth":1,"transitions":{"":[%s]}}\n' "$dir/bin/$name" "${symbols%,}" \
		>"$dir/policies/$name.json"
}

begun=$SECONDS
clean
for name in $names; do
	began=${EPOCHREALTIME/./}
	work "$name" "$dir/plain/$name"
	echo "| $name: $(((${EPOCHREALTIME/./} - began) / 1000)) ms without enforcement"
	grep -qx 'status 0' "$dir/plain/$name" || fail "$name does not work here:" "$(cat "$dir/plain/$name")"
	printf '%s\n' execve $margin >"$dir/$name.symbols"
	write "$name" $(sort -u "$dir/$name.symbols")
done

# Learned until a round has shown nothing new.
for round in $(seq 20); do
	enforce --log-only
	clean
	for name in $names; do work "$name" "$dir/under/$name"; done
	stop
	sed -n 's|.*"policy":"[^"]*/\([^"/]*\)".*"symbol":"\([^"]*\)".*|\1 \2|p' "$dir/events" | sort -u >"$dir/new"
	[ -s "$dir/new" ] || break
	while read -r name symbol; do echo "$symbol" >>"$dir/$name.symbols"; done <"$dir/new"
	for name in $names; do write "$name" $(sort -u "$dir/$name.symbols"); done
done
[ ! -s "$dir/new" ] || fail "after $round rounds there is still something new: $(cat "$dir/new")"
echo "| learned in $round rounds, $((SECONDS - begun)) s"

enforce --require "$level"
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
stop
reached=$(grep '"event":"start"' "$dir/events" | grep -o '"level":"[^"]*"')
echo "| $(wc -w <<<"$names") workloads, $runs runs each, ${reached}: $(total judged) calls judged, $(total violations)" \
	"violations, $different differences; $((SECONDS - begun)) s"
grep '"event":"violation"' "$dir/events" >&2 || true
[ "$(total violations)" = 0 ] && [ "$(total judged)" -gt 0 ] && [ $different = 0 ]
