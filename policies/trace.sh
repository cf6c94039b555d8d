#!/usr/bin/env bash
# A launcher for workloads: traces PROGRAM, each start into a new file of LOGS.
#
# usage: [DISTURB=ACTION] trace.sh LOGS PROGRAM ARGUMENT...
#
# ACTION is what strace does to every call (strace(1): tampering).
logs=$1
shift
exec strace -f ${DISTURB:+-e "inject=all:$DISTURB"} -o "$(mktemp "$logs/XXXXXXXXXX.strace")" -- "$@"
