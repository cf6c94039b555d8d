# Sourced by the workloads. Each is called as
#
#   [RUN=LAUNCHER] [LIGHT=1] NAME.sh PROGRAM DIR
#
# and uses PROGRAM lawfully in several ways, in the empty directory DIR. LAUNCHER goes before every
# start of PROGRAM. A workload prints nothing, and ends with 0 if every use ended as it should.
set -euo pipefail
# A language of its own would load files that others' machines do not have.
export LC_ALL=C TZ=UTC
# A search path of the loader would, too (cargo sets one for what it runs): the loader looks into
# each directory.
unset LD_LIBRARY_PATH LD_PRELOAD
# Where in its work a program's heap grows, that is calls brk, depends on the lengths of its paths
# and environment, and on hashes that differ from run to run. Each such moment is a transition of
# its own, which only very many runs would show. So the heap is large from the start (mallopt(3):
# M_TOP_PAD, M_TRIM_THRESHOLD), and hashes are the same in each run. HEAP=natural leaves the heap
# alone.
[ "${HEAP:-}" = natural ] ||
	export GLIBC_TUNABLES=glibc.malloc.top_pad=67108864:glibc.malloc.trim_threshold=1073741824
export PYTHONHASHSEED=0 PERL_HASH_SEED=0 PERL_PERTURB_KEYS=0
# By the name that was given: some programs act by their name.
BIN=$1
[[ $BIN = /* ]] || BIN=$(realpath -s "$1")
cd "$2"
# Nobody's settings.
export HOME=$PWD
unset XDG_CONFIG_HOME
# How often a workload does again what threads or random numbers make different each time. Learning
# sets more than working does.
OFTEN=${OFTEN:-1}

# run ARGUMENT...: PROGRAM must end well
run() { ${RUN:-} "$BIN" "$@"; }

# fails STATUS ARGUMENT...: PROGRAM must end with this status; what it complains of is not shown
fails() {
	local want=$1 got=0
	shift
	# The shell says it when a signal ended a program.
	{ ${RUN:-} "$BIN" "$@" >/dev/null 2>&1 || got=$?; } 2>/dev/null
	[ "$got" = "$want" ] || wrong "$* ended with status $got, not $want"
}

wrong() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# same WHAT WANT GOT
same() { [ "$2" = "$3" ] || wrong "$1: got \`$3\`, not \`$2\`"; }

# enough: the rest of the workload is left out where all is slow, as in an emulated machine
# (LIGHT=1) full COMMAND: COMMAND is left out there
enough() { [ -z "${LIGHT:-}" ] || exit 0; }
full() { [ -n "${LIGHT:-}" ] || "$@"; }

# numbers COUNT: COUNT lines, the same every time
numbers() { seq -f 'line %.0f of a text that compresses well' "$1"; }

# For servers. An address of this run's own: at 127.0.0.1 a port that was free a moment ago may be
# the source of another run's connection by now. Below 32768 the kernel takes none by itself
# (ip_local_port_range).
ADDRESS=127.$((RANDOM % 254 + 1)).$((RANDOM % 254 + 1)).$((RANDOM % 254 + 1))
PORT=$((RANDOM % 12000 + 20000))

# await SECONDS PID COMMAND...: until COMMAND says yes; ends the workload if process PID does before
await() {
	local deadline=$((SECONDS + $1)) pid=$2
	shift 2
	until "$@"; do
		kill -0 "$pid" 2>/dev/null || wrong "$pid ended before $*"
		[ "$SECONDS" -lt "$deadline" ] || wrong "in vain: $*"
		sleep 0.02
	done
}

# Paused programs find more than one thing to do when they go on. What else only chance brings
# together (a timer and a client, two clients) comes together surely. pause PID; resume PID
pause() {
	kill -STOP "$1"
	# The state stands after the name in brackets: T when all has stopped.
	await 10 "$1" grep -qs ') [Tt] ' "/proc/$1/stat"
}
resume() { kill -CONT "$1"; }
