#!/usr/bin/env bash
. "${0%/*}/common.sh" || exit

seq 140000 >many
numbers 1000 >few
run few >/dev/null
run -r -u few -o sorted
run -c sorted -r
run -n -k2 few >/dev/null
enough
run -R few >/dev/null
run <few >/dev/null
# Threads: it takes a second one from 131,072 lines on.
run --parallel=2 -S 100M many >/dev/null
run --parallel=2 -n -r -S 100M many >/dev/null
# Temporary files, whose names' random bits are sometimes asked for anew (glibc, __gen_tempname),
# one time in 22.
for _ in 1 2 3 4 5 6; do run --parallel=1 -S 1M -T . many -o many.sorted; done
run -m sorted sorted >/dev/null
fails 1 -c -n many.sorted
fails 2 missing
fails 2 --nonsense
