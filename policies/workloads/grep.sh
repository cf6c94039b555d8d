#!/usr/bin/env bash
. "${0%/*}/common.sh" || exit

numbers 3000 >text
mkdir -p tree/deep
numbers 10 >tree/deep/one
printf 'a\0line of binary\n' >tree/binary
same "the count" 3000 "$(run -c line text)"
run -n 'line 1.*of' text >/dev/null
run -E '(9|8){3}' text >/dev/null
enough
run -P '\d{4}' text >/dev/null
run -F -i LINE text >/dev/null
run -q line text
run -r -l line . >/dev/null
run -rc line tree --include=one >/dev/null
run -A2 -B2 'line 100 ' text >/dev/null
run -o '[0-9]*' <text >/dev/null
numbers 100 | run -v 1 >/dev/null
run --color=always line tree/deep/one >/dev/null
run -f tree/deep/one text >/dev/null
run binary tree/binary >/dev/null
run line text text text 2>/dev/null | head -c 10 >/dev/null || true
fails 1 absent text
fails 2 line missing
fails 2 -E '(' text
fails 2 line tree
