#!/usr/bin/env bash
# Written in Rust; its threads search files, and take work from one another.
. "${0%/*}/common.sh" || exit

# What one thread has allocated another one frees: without a lock, if there is always room to keep
# it.
[ "${HEAP:-}" = natural ] || GLIBC_TUNABLES+=:glibc.malloc.tcache_count=65535
mkdir tree
for file in tree/{1..6}{0..9}; do numbers 300 >"$file"; done
echo '*.log' >tree/.ignore
echo line >tree/ignored.log
printf 'a\0line of binary\n' >binary
numbers 3000 >text
# Which thread waits for which is chance, and which comes too late to get a file; the more threads,
# the oftener.
for turn in $(seq "$OFTEN"); do
	same "the count" 18000 "$(run -j2 -I 'line \d+ of' tree/?? | wc -l)"
	run -j2 -c well tree/10 tree/11 >/dev/null
	run -j$((turn % 15 + 2)) -c well tree/10 tree/11 tree/12 >/dev/null
done
same "the count" 3000 "$(run -j1 -c line text)"
run -j1 --files tree >/dev/null
run -j1 --sort path -n -C2 'line 100 ' tree >/dev/null
run -j1 --json -o '[0-9]+' text >/dev/null
run -j1 --color=always -r row line tree/10 >/dev/null
run -j1 -U 'well\nline' tree/11 text >/dev/null
numbers 100 | run -v 1 >/dev/null
run -F -w line <text >/dev/null
run -j1 -a binary binary >/dev/null
fails 1 -j1 absent text
fails 2 -j1 line missing
fails 2 '(' text
fails 2 --nonsense
run --version >/dev/null
