#!/usr/bin/env bash
. "${0%/*}/common.sh" || exit

mkdir in out
numbers 2000 >in/text
touch in/empty
ln -s text in/link
ln in/text in/hard
run -cf plain.tar in
run -tf plain.tar >/dev/null
run -tvf plain.tar >/dev/null
run -xf plain.tar -C out
cmp -s in/text out/in/text || wrong "a file differs"
enough
run -xf plain.tar -C out
run -czf packed.tar.gz in
run -tzf packed.tar.gz >/dev/null
run -xf packed.tar.gz -C out in/text
run -xOf plain.tar in/text >/dev/null
run -cf - in | run -tf - >/dev/null
run -rf plain.tar in/empty
run -df plain.tar
fails 2 -xf missing.tar
fails 2 -tf plain.tar absent
fails 2 -cf bad.tar missing
fails 2 -tf in/text
fails 64 --nonsense
