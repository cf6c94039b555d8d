#!/usr/bin/env bash
# A launcher for workloads: traces PROGRAM, each start into a new file of LOGS.
#
# usage: trace.sh LOGS PROGRAM ARGUMENT...
logs=$1
shift
exec strace -f -o "$(mktemp "$logs/XXXXXXXXXX.strace")" -- "$@"
