#!/usr/bin/env bash
# PORT: a free port of 127.0.0.1
. "${0%/*}/common.sh" || exit

port=${PORT:-$(shuf -n1 -i 20000-32000)}
cli() { timeout 10 redis-cli -h 127.0.0.1 -p "$port" "$@"; }
# serve OPTION...
serve() {
	run --port "$port" --bind 127.0.0.1 --dir "$PWD" --logfile "$PWD/log" "$@" &
	server=$!
	trap 'cli SHUTDOWN NOSAVE >/dev/null 2>&1 || kill -KILL $server 2>/dev/null || true' EXIT
	for _ in $(seq 200); do
		[ "$(cli ping 2>/dev/null)" = PONG ] && break
		sleep 0.02
	done
}
serve --save ''
cli set key value >/dev/null
same "the value" value "$(cli get key)"
full timeout 20 redis-benchmark -h 127.0.0.1 -p "$port" -q -n 300 -c 1 -t set,get,lpush >/dev/null
full timeout 20 redis-benchmark -h 127.0.0.1 -p "$port" -q -n 1000 -c 5 -t set,get,incr,mset >/dev/null
full timeout 20 redis-benchmark -h 127.0.0.1 -p "$port" -q -n 500 -c 3 -P 8 -t set,get >/dev/null
cli info >/dev/null
cli expire counter:__rand_int__ 1 >/dev/null
cli nonsense >/dev/null || true
cli config get maxmemory >/dev/null
cli bgsave >/dev/null
for _ in $(seq 100); do
	[ "$(cli info persistence | grep -c 'rdb_bgsave_in_progress:0')" = 1 ] && break
	sleep 0.02
done
[ -s dump.rdb ] || wrong "no dump"
cli SHUTDOWN NOSAVE >/dev/null 2>&1 || true
wait $server
trap - EXIT
enough
# What was saved is read again.
serve --save ''
same "the value" value "$(cli get key)"
cli SHUTDOWN NOSAVE >/dev/null 2>&1 || true
wait $server
trap - EXIT
run --version >/dev/null
