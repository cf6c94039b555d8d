#!/usr/bin/env bash
. "${0%/*}/common.sh" || exit

# Else memory goes back to the kernel when its time has come (jemalloc(3): decay), in the middle of
# whatever the server does, and more is asked for in the middle of something else.
export MALLOC_CONF=dirty_decay_ms:-1,muzzy_decay_ms:-1,lg_extent_max_active_fit:40

cli() { timeout 30 redis-cli -h "$ADDRESS" -p "$PORT" "$@" 2>/dev/null; }
pongs() { [ "$(cli ping)" = PONG ]; }
load() { timeout 60 redis-benchmark -h "$ADDRESS" -p "$PORT" -q "$@" >/dev/null; }
saved() { cli info persistence | grep -q 'rdb_bgsave_in_progress:0'; }
# A thread of its own would give memory back. What takes long goes into the slow log with the
# client's address, and how long anything takes is chance. A command's first call makes room to
# track its latency.
# serve THING...
serve() {
	run --port "$PORT" --bind "$ADDRESS" --dir "$PWD" --logfile "$PWD/log" --pidfile "$PWD/pid" \
		--jemalloc-bg-thread no --slowlog-log-slower-than -1 --latency-tracking no --save '' &
	server=$!
	pid=
	trap 'kill -KILL $server $pid 2>/dev/null || true' EXIT
	await 30 $server pongs
	# Not $server, if a launcher stands before it.
	pid=$(cat pid)
	# Memory for all that follows. The next client may come with it, or later.
	full together "setrange large 4000000 end" "$@"
	cli del large >/dev/null
}
end() {
	cli shutdown nosave >/dev/null || true
	wait $server
}

# A slow script: the server's timer, ten times a second, is due when it ends.
SLOW="eval \"local function now() local t = redis.call('time') return t[1] * 1000000 + t[2] end
local late = now() + 120000 while now() < late do end\" 0"
SLOW=${SLOW//$'\n'/ }

# together THING...: what the server finds at once: commands of clients, some that come, one that
# goes. Its timer is due after the last of them. (Answers stay short: the longer a client has been
# there, the sooner does a long one take another call. So there is no INFO of everything.)
together() {
	local thing fd leaving clients=() all
	exec {leaving}<>"/dev/tcp/$ADDRESS/$PORT"
	for thing in "$SLOW" "$@"; do
		exec {fd}<>"/dev/tcp/$ADDRESS/$PORT"
		clients+=("$fd")
	done
	all=("${clients[@]}")
	cli ping >/dev/null
	pause "$pid"
	for thing in "$SLOW" "$@"; do
		case $thing in
		comes) exec {fd}<>"/dev/tcp/$ADDRESS/$PORT" && all+=("$fd") ;;
		goes) exec {leaving}>&- ;;
		*) printf '%s\r\n' "$thing" >&"${clients[0]}" && clients=("${clients[@]:1}") ;;
		esac
	done
	resume "$pid"
	cli ping >/dev/null
	for fd in "${all[@]}"; do exec {fd}>&-; done
}

serve
cli set key value >/dev/null
same "the value" value "$(cli get key)"
full load -n 300 -c 1 -t set,get,lpush
full load -n 1000 -c 5 -t set,get,incr,mset
full load -n 500 -c 3 -P 8 -t set,get
for section in server $(full echo clients memory stats cpu keyspace); do cli info $section >/dev/null; done
cli expire counter:__rand_int__ 1 >/dev/null
cli nonsense >/dev/null || true
cli config get maxmemory >/dev/null
full together comes "get key" "info cpu" goes "get key"
full together "get key" comes "get key" "info cpu"
full together "info cpu" comes
full together goes comes "get key"
# Keys that take their time: while it saves, the server serves, and looks after the child, once a
# second more closely.
full cli config set rdb-key-save-delay 350000 >/dev/null
cli bgsave >/dev/null
full sleep 0.25
full together goes "get key"
full load -n 1000 -c 5 -t set,get,incr,mset
await 30 $server saved
[ -s dump.rdb ] || wrong "no dump"
end
trap - EXIT
enough
# What was saved is read again.
serve comes
same "the value" value "$(cli get key)"
end
trap - EXIT
run --version >/dev/null
