#!/usr/bin/env bash
# PORT: a free port of 127.0.0.1
. "${0%/*}/common.sh" || exit

port=${PORT:-$(shuf -n1 -i 20000-32000)}
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
		listen 127.0.0.1:$port;
		root $PWD/www;
		location /old { return 301 /; }
		location /list { alias $PWD/www; autoindex on; }
	}
}
CONF
run -t -q -c "$PWD/nginx.conf" -e "$PWD/error.log"
full fails 1 -t -q -c "$PWD/missing.conf" -e "$PWD/error.log"

run -c "$PWD/nginx.conf" -e "$PWD/error.log" &
server=$!
trap 'kill -KILL $server $(cat nginx.pid 2>/dev/null) 2>/dev/null || true' EXIT
get() { curl -s --max-time 10 "$@" >/dev/null; }
for _ in $(seq 100); do
	[ -s nginx.pid ] && get "http://127.0.0.1:$port/" && break
	sleep 0.02
done
at=http://127.0.0.1:$port
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
full timeout 20 ab -q -n 50 -c 1 "$at/" >/dev/null 2>&1
full timeout 20 ab -q -n 100 -c 4 "$at/" >/dev/null 2>&1
full timeout 20 ab -q -k -n 100 -c 4 "$at/large.txt" >/dev/null 2>&1
run -s quit -c "$PWD/nginx.conf" -e "$PWD/error.log"
wait $server
trap - EXIT
