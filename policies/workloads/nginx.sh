#!/usr/bin/env bash
. "${0%/*}/common.sh" || exit

mkdir www temp
numbers 3000 >www/large.txt
echo hello >www/index.html
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
	sendfile on;
	gzip on;
	gzip_types text/plain;
	server {
		listen $ADDRESS:$PORT;
		root $PWD/www;
		location /old { return 301 /; }
		location /list { alias $PWD/www; autoindex on; }
	}
}
CONF
run -t -q -c "$PWD/nginx.conf" -e "$PWD/error.log"
full fails 1 -t -q -c "$PWD/missing.conf" -e "$PWD/error.log"

get() { curl -s --max-time 10 "$@" >/dev/null; }
at=http://$ADDRESS:$PORT
serves() { [ -s nginx.pid ] && get "$at/"; }
serve() {
	run -c "$PWD/nginx.conf" -e "$PWD/error.log" &
	server=$!
	trap 'kill -KILL $server $(cat nginx.pid 2>/dev/null) 2>/dev/null || true' EXIT
	await 30 $server serves
}
quit() { run -s quit -c "$PWD/nginx.conf" -e "$PWD/error.log"; }
serve
same "the page" hello "$(curl -s --max-time 10 "$at/")"
get "$at/large.txt"
get --compressed "$at/large.txt"
full get -r 100-200 "$at/large.txt"
full get -I "$at/index.html"
get "$at/missing"
full get "$at/old"
full get "$at/list/"
get -d body "$at/"
full get -z "Fri, 01 Jan 2100 00:00:00 GMT" "$at/index.html"
full get "$at/" "$at/large.txt" "$at/missing"
load() { timeout 60 ab -q "$@" >/dev/null 2>&1; }
full load -n 50 -c 1 "$at/"
full load -n 100 -c 4 "$at/"
full load -k -n 100 -c 4 "$at/large.txt"
# Clients that come, stay and go at once.
for _ in $(full seq "$OFTEN"); do
	load -n 200 -c 8 "$at/" &
	one=$!
	load -k -n 200 -c 4 "$at/" &
	wait $one $!
done
sleep 0.1
quit
wait $server
trap - EXIT
enough
# A client goes in the moment in which the worker is to end.
serve
exec {client}<>"/dev/tcp/$ADDRESS/$PORT"
printf 'GET / HTTP/1.1\r\nHost: here\r\n\r\n' >&"$client"
read -r -t 30 -u "$client" _ || wrong "no answer"
worker=$(pgrep -P "$(cat nginx.pid)")
pause "$worker"
exec {client}>&-
quit
sleep 0.1
resume "$worker"
wait $server
trap - EXIT
