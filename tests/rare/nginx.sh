#!/usr/bin/env bash
# nginx: requests, a cache among them; then what an operator does to it: reload, reopened logs, a purged page.
. "${0%/*}/common.sh" || exit

mkdir www temp cache
echo hello >www/index.html
numbers 3000 >www/large.txt
cat >nginx.conf <<CONF
daemon off;
user root;
worker_processes 1;
pid $PWD/nginx.pid;
error_log $PWD/error.log;
events { worker_connections 64; }
http {
	access_log $PWD/access.log;
	client_body_temp_path $PWD/temp;
	proxy_temp_path $PWD/temp;
	fastcgi_temp_path $PWD/temp;
	scgi_temp_path $PWD/temp;
	uwsgi_temp_path $PWD/temp;
	proxy_cache_path $PWD/cache keys_zone=pages:1m;
	sendfile on;
	server {
		listen $ADDRESS:$PORT;
		root $PWD/www;
		location /cached/ {
			proxy_pass http://$ADDRESS:$PORT/;
			proxy_cache pages;
			proxy_cache_key \$uri;
			proxy_cache_valid 200 1h;
		}
	}
}
CONF
at=http://$ADDRESS:$PORT
get() { curl -s --max-time 20 "$@" >/dev/null; }
status() { curl -s --max-time 20 -o /dev/null -w '%{http_code}' "$@"; }
serves() { [ -s nginx.pid ] && get "$at/"; }
requests() {
	same "the page" hello "$(curl -s --max-time 20 "$at/")"
	get "$at/large.txt"
	get "$at/missing"
	get "$at/cached/large.txt"
	get "$at/cached/large.txt"
}
run -c "$PWD/nginx.conf" -e "$PWD/error.log" &
server=$!
# The master first: it would make new ones of the others.
stop_all() {
	local all
	all="$server $(cat nginx.pid 2>/dev/null) $(pgrep -P "$(cat nginx.pid 2>/dev/null)" 2>/dev/null)" || true
	kill -KILL $all 2>/dev/null || true
}
trap stop_all EXIT
await 30 $server serves
# Not $server, if a launcher stands before it.
pid=$(cat nginx.pid)
worker() { pgrep -P "$pid" -f worker; }
requests
if [ "$PHASE" = rare ]; then
	# Log reopen.
	mv access.log access.old
	kill -USR1 "$pid"
	await 20 "$pid" test -e access.log
	requests
	# Purge: by removing the files, since the packaged module for it (libnginx-mod-http-cache-purge 2.3) crashes the
	# worker. The page is fetched anew.
	find cache -type f -delete
	same "the page after the purge" 200 "$(status "$at/cached/large.txt")"
	cached() { [ -n "$(find cache -type f)" ]; }
	await 20 "$pid" cached
	# Reload: another worker.
	old=$(worker | head -n 1)
	kill -HUP "$pid"
	gone() { ! kill -0 "$old" 2>/dev/null && [ -n "$(worker)" ]; }
	await 30 "$pid" gone
	requests
fi
# Graceful stop: that is how it always ends.
kill -"$([ "$PHASE" = rare ] && echo QUIT || echo TERM)" "$pid"
wait $server
trap - EXIT
