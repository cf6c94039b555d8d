#!/usr/bin/env bash
. "${0%/*}/common.sh" || exit

numbers 5000 >text
cp text again
run again
run -l again.gz >/dev/null
run -t again.gz
run -d again.gz
cmp -s text again || wrong "the text differs"
enough
run -k -9 text
run -f -k -1 text
run -dc text.gz >/dev/null
run <text | run -d >back
cmp -s text back || wrong "the text differs"
run -c text text >/dev/null
run -v -k -c again >/dev/null 2>&1
mkdir tree
cp text tree/
run -r tree
fails 1 missing
fails 2 -d text
fails 1 -t back
run -q text.gz 2>/dev/null || true
head -c 100 text.gz >short.gz
fails 1 -d short.gz
fails 1 --nonsense
