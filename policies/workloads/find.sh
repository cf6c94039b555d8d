#!/usr/bin/env bash
. "${0%/*}/common.sh" || exit

mkdir -p tree/{a,b,c}/{1,2,3}
for file in tree/*/*; do echo "$file" >"$file/file"; done
ln -s a tree/link
same "the count" 9 "$(run tree -name file | wc -l)"
run tree -type d >/dev/null
run tree -ls >/dev/null
run -L tree -type f -size -10k -mmin -60 >/dev/null
enough
run tree -name file -exec true '{}' ';'
run tree -name file -exec true '{}' +
run tree -depth -empty >/dev/null
run tree -printf '%p %s %u\n' >/dev/null
run tree -path 'tree/a*' -prune -o -print0 >/dev/null
run tree -newer tree/a -user root >/dev/null
run tree/c -delete
fails 1 missing
fails 1 tree -nonsense
