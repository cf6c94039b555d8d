#!/usr/bin/env bash
# redis: commands of clients; then background saves, a rewritten log and configuration, and a shutdown that saves.
. "${0%/*}/common.sh" || exit

# Else memory goes back to the kernel when its time has come, in the middle of whatever the server does.
export MALLOC_CONF=dirty_decay_ms:-1,muzzy_decay_ms:-1,lg_extent_max_active_fit:40
cat >redis.conf <<CONF
port $PORT
bind $ADDRESS
dir $PWD
logfile $PWD/log
pidfile $PWD/pid
jemalloc-bg-thread no
slowlog-log-slower-than -1
latency-tracking no
appendonly yes
save ""
CONF
cli() { timeout 30 redis-cli -h "$ADDRESS" -p "$PORT" "$@" 2>/dev/null; }
pongs() { [ "$(cli ping)" = PONG ]; }
idle() { ! cli info persistence | grep -q 'in_progress:1\|scheduled:1'; }
run "$PWD/redis.conf" &
server=$!
trap 'kill -KILL $server $(cat pid 2>/dev/null) 2>/dev/null || true' EXIT
await 30 $server pongs
pid=$(cat pid)
requests() {
	cli set key value >/dev/null
	same "the value" value "$(cli get key)"
	cli incr number >/dev/null
	cli lpush list a b c >/dev/null
	timeout 60 redis-benchmark -h "$ADDRESS" -p "$PORT" -q -n 300 -c 3 -t set,get >/dev/null
}
requests
if [ "$PHASE" = rare ]; then
	cli bgsave >/dev/null
	await 30 "$pid" idle
	[ -s dump.rdb ] || wrong "no dump"
	requests
	cli bgrewriteaof >/dev/null
	await 30 "$pid" idle
	requests
	cli config set maxmemory 100mb >/dev/null
	same "config rewrite" OK "$(cli config rewrite)"
	grep -q maxmemory redis.conf || wrong "the configuration was not rewritten"
	cli shutdown save >/dev/null || true
else
	cli shutdown nosave >/dev/null || true
fi
wait $server
trap - EXIT
