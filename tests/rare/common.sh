# Sourced by the scripts of this directory. Each is called as NAME.sh PROGRAM DIR plain|rare, and uses a server in
# everyday ways only, or in the lawful ways besides them that training usually misses. See workloads/common.sh.
PHASE=$3
. "${0%/*}/../../policies/workloads/common.sh"
