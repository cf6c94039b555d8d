#!/usr/bin/env bash
. "${0%/*}/common.sh" || exit
# It would take the outer make for its own.
unset MAKEFLAGS MFLAGS MAKELEVEL

cat >Makefile <<'MAKEFILE'
NAMES := a b c d
STAMP != echo stamp
all: $(NAMES:%=%.out) sum
%.out: %.in
	cp $< $@
sum: $(NAMES:%=%.in)
	cat $^ | sort >$@
clean:
	rm -f *.out sum
slow: slow-1 slow-2 slow-3 slow-4
slow-%:
	@sleep 0.0$*
bad:
	@false
include more.mk
MAKEFILE
echo 'EXTRA = $(shell echo extra) $(wildcard *.in)' >more.mk
for name in a b c d; do echo "$name" >"$name.in"; done
run >/dev/null
run >/dev/null
run clean >/dev/null
enough
run -j2 >/dev/null
touch b.in
run -j2 >/dev/null
run -j2 slow
run -n clean >/dev/null
run -s clean
run -q nothing-to-do 2>/dev/null || true
run -p -f more.mk >/dev/null 2>&1 || true
fails 2 bad
fails 2 -k bad no-such-target
fails 2 -f missing.mk
run --version >/dev/null
