#!/usr/bin/env bash
. "${0%/*}/common.sh" || exit

numbers 8000 >text
cp text again
run -1 again
run -l again.xz >/dev/null
run -t again.xz
run -d again.xz
cmp -s text again || wrong "the text differs"
# Threads.
run -T2 -1 --block-size=64KiB -k -f text
run -T2 -dc text.xz >back
cmp -s text back || wrong "the text differs"
enough
run -0 <text | run -d >back
cmp -s text back || wrong "the text differs"
run -1 --format=lzma -c text >/dev/null
fails 1 missing
fails 1 -d -c text
fails 1 -t text
fails 1 --nonsense
