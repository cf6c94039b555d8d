# Sourced by run.sh: the groups of tests, and how a guest runs them.

# A name for the table, a test binary, and what it is asked to run. These kernels have overlayfs as a module only, and
# a guest has no modules.
suite="
doctor    kernel    refusals::doctor
equality  equality  judging::
learning  equality  recording::
refusals  kernel    refusals:: --skip=doctor
binding   kernel    binding:: --skip=where_stat_tells
cgroups   kernel    cgroups::
processes kernel    processes::
load      kernel    load::
fallbacks kernel    fallbacks::
handlers  kernel    handlers::
adoption  kernel    adoption:: --skip=a_script --test-threads=1
attacks   kernel    attacks::
traced    kernel    kernels_calls::
pinned    kernel    pinned::  --test-threads=1
reloads   kernel    reloads::threads_keep
verifier  kernel    verifier:: --nocapture
veto      veto      --skip=battery:: --test-threads=1
battery   veto      battery:: --skip=within_a_crowd --nocapture
crowded   veto      within_a_crowd --nocapture
"

# Test binary → path, as cargo built them.
declare -A tests
while read -r name path; do tests[$name]=$path; done < <(
	cd "$root" && cargo test --release --no-run --message-format=json --test '*' 2>/dev/null | /usr/bin/python3 -c '
import json, sys
for message in map(json.loads, sys.stdin):
    if message.get("executable") and message["target"]["kind"] == ["test"]:
        print(message["target"]["name"], message["executable"])'
)
target=$(dirname "$(dirname "${tests[kernel]:?cargo has built no kernel tests}")")

# groups_of LIST LEVEL: a name and a command a line, of the groups in the list, with commas between. `all` are all but
# `crowded`, which fails where the kernel preempts programs on functions (docs/threat-model.md).
groups_of() {
	local name binary arguments
	if [ "$1" = refusal ]; then
		echo "refusal ! $target/sysfsm doctor && ! $target/sysfsm enforce --policy /policy.json"
		return
	fi
	{
		while read -r name binary arguments; do
			[ -z "$name" ] || echo "$name BATTERY_LEVEL=$2 TIMES=20 ${tests[$binary]} $arguments"
		done <<<"$suite"
		echo "workloads RUNS=${RUNS:-20} ONLY='${ONLY:-}' bash $here/workloads.sh $target $2"
		# The last one: the first process of the guest becomes this program.
		echo "first $target/sysfsm $target/lawful"
	} | while read -r name arguments; do
		[[ ",$1," == *",$name,"* || (",$1," == *",all,"* && "$name" != crowded) ]] || continue
		[ -z "${GROUPS_ONLY:-}" ] || [[ " $GROUPS_ONLY " == *" $name "* ]] || continue
		echo "$name $arguments"
	done
}
