#!/usr/bin/env bash
. "${0%/*}/common.sh" || exit

cat >script <<'SCRIPT'
trap 'echo usr1' USR1
trap 'echo bye' EXIT
kill -USR1 $$
lines=$(for i in 1 2 3; do echo "line $i"; done | grep -c line)
[ "$lines" = 3 ] || exit 1
(cd / && pwd) >/dev/null
cat <<HERE >here
text
HERE
while read -r word; do echo "$word"; done <here >there
cat here | sort | uniq -c >/dev/null
sleep 0.01 &
wait $!
false || true
exec 3>out
echo out >&3
exec 3>&-
[ -e missing ] || printf '%s\n' *
SCRIPT
run --norc script >/dev/null
run --norc -c 'echo hello' >/dev/null
enough
run --norc -c 'trap "exit 0" TERM; kill -TERM $$; exit 1'
same "a substitution" "a b" "$(run --norc -c 'echo $(echo a) $(echo b)')"
echo 'echo from stdin; false; true' | run --norc >/dev/null
run --norc -c 'sleep 0.01 & sleep 0.02 & wait; jobs' >/dev/null
run --norc -c '/bin/true; /bin/true | /bin/true; /bin/true && ( /bin/true; /bin/true )'
fails 127 --norc -c missing-command
fails 127 --norc missing-script
fails 3 --norc -c 'exit 3'
fails 1 --norc -c 'false'
fails 2 --norc -c 'if'
fails 143 --norc -c 'kill -TERM $$'
