#!/usr/bin/env bash
# PostgreSQL: queries; then VACUUM, a checkpoint, a reload, a restart. It refuses to run as root.
. "${0%/*}/common.sh" || exit

user=postgres
bin=$(echo /usr/lib/postgresql/*/bin)
chown $user "$PWD"
as() { setpriv --reuid=$user --regid=$user --init-groups "$@"; }
as "$bin/initdb" -D "$PWD/data" -A trust --no-sync --no-instructions -U $user >/dev/null
cat >>data/postgresql.conf <<CONF
listen_addresses = '$ADDRESS'
port = $PORT
unix_socket_directories = '$PWD'
logging_collector = off
log_destination = stderr
CONF
sql() { timeout 60 "$bin/psql" -X -q -A -t -h "$ADDRESS" -p "$PORT" -U $user -d postgres -c "$1"; }
ready() { [ "$(sql 'select 1' 2>/dev/null)" = 1 ]; }
begin() {
	${RUN:-} setpriv --reuid=$user --regid=$user --init-groups "$BIN" -D "$PWD/data" 2>>log &
	server=$!
	trap 'kill -KILL $server $(head -n 1 data/postmaster.pid 2>/dev/null) 2>/dev/null || true' EXIT
	await 60 $server ready
	pid=$(head -n 1 data/postmaster.pid)
}
end() {
	kill -"$1" "$pid"
	wait $server
	trap - EXIT
}
queries() {
	sql "insert into t select i, 'text ' || i from generate_series(1, 2000) i"
	same "the sum" yes "$(sql "select case when sum(n) > 0 then 'yes' end from t")"
	sql "update t set s = s || '.' where n < 500"
	sql "delete from t where n > 1500"
	sql "nonsense" 2>/dev/null || true
}
begin
sql "create table t (n int, s text); create index on t (n)"
queries
if [ "$PHASE" = rare ]; then
	sql "vacuum t"
	sql "vacuum full t"
	sql "analyze t"
	sql "checkpoint"
	queries
	echo "work_mem = '5MB'" >>data/postgresql.conf
	kill -HUP "$pid"
	reloaded() { [ "$(sql 'show work_mem')" = 5MB ]; }
	await 30 "$pid" reloaded
	queries
	# Restart, by a fast shutdown.
	end INT
	begin
	same "the table" yes "$(sql "select case when count(*) > 0 then 'yes' end from t")"
	queries
fi
end TERM
