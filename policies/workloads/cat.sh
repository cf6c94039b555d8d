#!/usr/bin/env bash
. "${0%/*}/common.sh" || exit

numbers 3000 >many
echo one >one
same "one file" one "$(run one)"
run many one - </dev/null >copy
cmp -s copy <(cat many one) || wrong "a copy differs"
run -A -n one many >/dev/null
enough
run -s one one >/dev/null
numbers 100 | run >/dev/null
run <one >/dev/null
# The reader goes away first.
run many many many 2>/dev/null | head -c 10 >/dev/null || true
fails 1 missing
fails 1 . one
fails 1 --nonsense
run --version >/dev/null
