#!/usr/bin/env bash
# The demo: a server with a real flaw is taken over, its policy is learned from lawful clients, and the same
# attack ends where its first call is none of the server's.
#
# As root, from the repository: SYSFSM=path of sysfsm PROGRAMS=directory of the built tests/programs
set -euo pipefail

: "${SYSFSM:?the path of the sysfsm binary}" "${PROGRAMS:?the directory of the built tests/programs}"
SYSFSM=$(realpath "$SYSFSM")
PROGRAMS=$(realpath "$PROGRAMS")
attacker=$PROGRAMS/attacker
dir=$(mktemp -d)
server=
cleanup() {
	# The server's whole process group: it was started in one of its own (set -m below).
	[ -z "$server" ] || kill -KILL -- "-$server" 2>/dev/null || true
	rm -rf "$dir"
}
trap cleanup EXIT
# Every job in a process group of its own.
set -m

bold= plain=
[ ! -t 1 ] || bold=$'\033[1m' plain=$'\033[0m'
step() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
say() { printf '    %s\n' "$*"; }
fail() {
	printf '\nFAILED: %s\n' "$*" >&2
	for log in "$dir"/*.out; do
		sed "s|^|    ${log##*/}: |" "$log" >&2
	done
	exit 1
}

# start NAME COMMAND... : starts a server with the command, its output in NAME.out; sets $server and $port
start() {
	local out=$dir/$1.out
	shift
	timeout --foreground --kill-after=5 60 "$@" </dev/null >"$out" 2>&1 &
	server=$!
	port=
	for _ in $(seq 200); do
		port=$(sed -n 's/^listening on \([0-9]*\)$/\1/p' "$out")
		[ -z "$port" ] || return 0
		kill -0 "$server" 2>/dev/null || break
		sleep 0.05
	done
	fail "the server did not start: $*"
}

# stop: waits for the server's end; sets $status
stop() {
	status=0
	wait "$server" || status=$?
	server=
}

# client REQUEST... : one lawful session; prints the answers. It waits for each, as clients do: whether the
# server finds two requests at once would else depend on its speed, and strace makes it slow.
client() {
	local request answer
	exec 3<>"/dev/tcp/127.0.0.1/$port" || fail "the server is gone"
	for request in "$@"; do
		printf '%b' "$request" >&3
		case $request in
		ECHO*)
			IFS= read -r -t 5 -N "${request//[!0-9]/}" answer <&3 || return 0
			printf '%s' "$answer"
			;;
		esac
	done
	printf 'BYE\n' >&3
	timeout 5 cat <&3 || true
	exec 3>&-
}

lawful() {
	[ "$(client 'NAME 5\nalice' 'ECHO 5\n')" = alice ] || fail "alice got no answer"
	[ "$(client 'NAME 3\nbob' 'ECHO 3\n' 'NAME 5\nbobby' 'ECHO 5\n')" = bobbobby ] || fail "bob got no answer"
	[ -z "$(client)" ] || fail "a session without a word was answered"
}

cp "$PROGRAMS/gullible" "$dir/gullible"
victim=$dir/gullible

step "1. The attack, with nothing in its way"
start unprotected "$victim" 4
say "a server listens on 127.0.0.1:$port; it trusts the lengths that its clients give"
timeout 20 "$attacker" "$port" "id>$dir/pwned" >"$dir/attacker-1.out" 2>&1 || fail "the attacker gave up"
sed 's/^/    attacker: /' "$dir/attacker-1.out"
grep -q 'uid=' "$dir/pwned" 2>/dev/null || fail "the attack did not work"
say "the attacker's shell ran in the server: $(cut -c1-40 "$dir/pwned")"
rm "$dir/pwned"
lawful
stop
[ "$status" = 0 ] || fail "the server ended with status $status"
say "and nobody noticed: the server went on serving"

step "2. Learning: strace watches the server serve lawful clients"
for run in 1 2; do
	start "trace-$run" strace -f -o "$dir/trace.$run" "$victim" 3
	lawful
	stop
	[ "$status" = 0 ] || fail "the traced server ended with status $status"
done
"$SYSFSM" extract "$dir/trace.1" "$dir/trace.2" --binary "$victim" -o "$dir/policy.json" 2>"$dir/extract.out" ||
	fail "no policy was learned"
sed 's/^/    /' "$dir/extract.out"

step "3. Lawful clients under the policy"
start lawful "$SYSFSM" enforce --policy "$dir/policy.json" -- "$victim" 3
lawful
stop
[ "$status" = 0 ] || fail "lawful work ended with status $status"
say "$(grep '^enforcing' "$dir/lawful.out")"
say "3 clients served, the server ended by itself; $(grep '^judged' "$dir/lawful.out")"

step "4. The same attack under the policy"
start attacked "$SYSFSM" enforce --policy "$dir/policy.json" -- "$victim" 4
timeout 20 "$attacker" "$port" "id>$dir/pwned" >"$dir/attacker-2.out" 2>&1 || fail "the attacker gave up"
sed 's/^/    attacker: /' "$dir/attacker-2.out"
stop
[ "$status" = 137 ] || fail "the server was not killed: status $status"
[ ! -e "$dir/pwned" ] || fail "the attacker's shell ran: $(cat "$dir/pwned")"
why=$(grep -m1 'is not in the policy' "$dir/attacked.out") || fail "no violation was reported"
say "the server was killed (status 137 = SIGKILL), and the attacker's file is not there. Why:"
say "$why"

step "Shown: unprotected, the attack ran a shell in the server. Under the policy that was learned from
lawful clients, lawful clients were served without one violation, and the attack ended at its first call."
