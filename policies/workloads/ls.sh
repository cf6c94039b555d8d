#!/usr/bin/env bash
. "${0%/*}/common.sh" || exit

mkdir -p deep/er
touch a b .hidden deep/c deep/er/d
ln -sf a link
ln -sf missing dangling
run >/dev/null
run -la >/dev/null
run -lR --time-style=full-iso . >/dev/null
enough
run -1 --color=always >/dev/null
run -l --color=always / >/dev/null
run -laSh --sort=time >/dev/null
run -i -s -d deep >/dev/null
run -L link a >/dev/null
run -Z a >/dev/null
fails 2 missing
fails 2 -l missing a
fails 1 -lL
fails 2 --nonsense
run --version >/dev/null
