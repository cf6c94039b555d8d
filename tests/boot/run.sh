#!/usr/bin/env bash
# The package and its unit under a real systemd: it boots as PID 1 in a container (systemd-nspawn) whose root is this
# machine's own, with whatever it changes in memory. Installed, started, crashed, reloaded, upgraded, booted anew,
# removed and purged.
#
# As root, from the repository: SYSFSM=path of the built sysfsm
#
# The kernel is the machine's: what is enforced inside is enforced outside as well. So the policies here bind copies
# that no one else runs, and the level is `kill`: no hooks but the tracepoints.
set -euo pipefail

: "${SYSFSM:?the path of the sysfsm binary}"
SYSFSM=$(realpath "$SYSFSM")
cd "$(dirname "$0")/../.."

# The control groups that a systemd needs, one in each hierarchy that it uses.
cgroups() {
	findmnt -rno TARGET,FSTYPE,OPTIONS | while read -r at type options; do
		case $type,$options in
		cgroup2,* | cgroup,*name=systemd*) echo "$at/sysfsm-boot-${dir##*.}" ;;
		esac
	done
}

# The work is done by a process in namespaces of its own: with it end every mount and every other process, however it
# ends. This one starts it, and removes what is left then.
if [ -z "${BOOT_DIR:-}" ]; then
	dir=$(mktemp -d)
	worker=''
	# shellcheck disable=SC2317 # called by the trap
	cleanup() {
		if [ -n "$worker" ]; then
			kill -KILL "$worker" 2>/dev/null || true
			wait "$worker" 2>/dev/null || true
		fi
		local group try
		for group in $(cgroups); do
			# Its processes end one after the other.
			for try in $(seq 50); do
				[ -d "$group" ] || break
				find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.1
			done
			[ ! -d "$group" ] || echo "left behind after $try tries: $group" >&2
		done
		rm -rf "$dir"
	}
	trap cleanup EXIT
	trap 'exit 130' INT TERM
	BOOT_DIR=$dir setpriv --pdeathsig KILL \
		unshare --mount --pid --fork --kill-child --mount-proc -- bash tests/boot/run.sh &
	worker=$!
	status=0
	wait "$worker" || status=$?
	worker=''
	exit "$status"
fi

dir=$BOOT_DIR
root=$dir/root
nspawn='' leader='' failures=0

# step WHAT FUNCTION: runs the checks of a function until one fails, and says what came of it.
step() {
	local status
	set +e
	(
		set -ex
		"$2"
	) >"$dir/log" 2>&1
	status=$?
	set -e
	if [ "$status" = 0 ]; then
		printf 'ok      %s\n' "$1"
	else
		printf 'failed  %s\n' "$1"
		sed 's/^/            /' "$dir/log"
		[ -z "$leader" ] || inside journalctl --boot --unit sysfsm --lines 20 --no-pager | sed 's/^/            /' || true
		failures=$((failures + 1))
	fi
}

# Tries a command for half a minute.
eventually() {
	local try
	for try in $(seq 300); do
		! "$@" >/dev/null 2>&1 || return 0
		sleep 0.1
	done
	echo "not in $try tries: $*"
	return 1
}

# ---- The container

# The root: what this machine has, without what it would start.
prepare() {
	mkdir "$root" "$dir/memory" "$dir/bpf"
	mount -t tmpfs -o mode=755 tmpfs "$dir/memory"
	mkdir "$dir/memory/upper" "$dir/memory/work"
	mount -t overlay -o "lowerdir=/,upperdir=$dir/memory/upper,workdir=$dir/memory/work" overlay "$root"
	rm -rf "$root"/etc/systemd/system/*.wants "$root"/etc/systemd/system/*.requires
	# It keeps servers from being started when they are installed; here one is to start.
	rm -f "$root/usr/sbin/policy-rc.d"
	: >"$root/etc/fstab"
	# Another machine than this one.
	: >"$root/etc/machine-id"
	mkdir -p "$root/etc/systemd/journald.conf.d" "$root/opt/boot"
	printf '[Journal]\nStorage=volatile\n' >"$root/etc/systemd/journald.conf.d/boot.conf"
	cp /bin/dash "$root$victim"
	cp /bin/dash "$root$other"
	bash packaging/debian/build.sh "$old" "$SYSFSM" "$root/opt/boot/old.deb" >/dev/null
	bash packaging/debian/build.sh "$new" "$SYSFSM" "$root/opt/boot/new.deb" >/dev/null
}

# Boots it. A bpf file system of its own is as empty as after a start of the machine.
boot() {
	mount -t bpf -o mode=700 bpf "$dir/bpf"
	(
		# nspawn makes its groups beside that of whoever starts it.
		for group in $(cgroups); do
			echo "$BASHPID" >"$group/cgroup.procs"
		done
		# --register=no --keep-unit: without asking a systemd of this machine, which there may not be.
		exec env SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 systemd-nspawn --quiet --directory="$root" --machine=sysfsm-boot \
			--register=no --keep-unit --link-journal=no --private-network --boot --capability=all \
			--system-call-filter="bpf perf_event_open" --bind="$dir/bpf:/sys/fs/bpf" --console=pipe \
			systemd.unit=basic.target
	) </dev/null >"$dir/console" 2>&1 &
	nspawn=$!
	eventually up
}

up() {
	# Its first child only starts this one.
	leader=$(pgrep --parent "$nspawn" --exact systemd) && [ "$(inside systemctl is-system-running)" = running ]
}

# Shuts it down.
halt() {
	kill -TERM "$nspawn"
	if ! eventually gone "$nspawn"; then
		kill -KILL "$nspawn" ${leader:+"$leader"}
	fi
	wait "$nspawn" 2>/dev/null || true
	umount "$dir/bpf"
	nspawn='' leader=''
}

gone() { ! kill -0 "$1"; }

# Runs a command in it.
inside() {
	timeout "${LIMIT:-120}" nsenter --target "$leader" --all -- \
		env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive "$@"
}

# ---- What is looked at

victim=/opt/boot/shell
other=/opt/boot/other
# shellcheck disable=SC2016 # for the shell that is watched
echoes='while read x; do echo "$x"; done'
# shellcheck disable=SC2016
serves='while read x; do echo "$x"; [ "$x" != attack ] || exec /bin/true; done'
version=$(sed -n 's/^version = "\(.*\)"/\1/p;/^version/q' Cargo.toml)
old=$version new=$version+boot

lawful() { [ "$(printf 'a\nb\n' | inside "$1" -c "$echoes")" = $'a\nb' ]; }

# How a run ends that the policy does not know: 137 is SIGKILL's.
deviation() {
	local status=0
	inside "$1" -c 'exec /bin/true' || status=$?
	echo "$status"
}

enforced() { lawful "$1" && [ "$(deviation "$1")" = 137 ]; }
free() { [ "$(deviation "$1")" = 0 ]; }
active() { [ "$(inside systemctl is-active sysfsm)" = active ]; }
property() { inside systemctl show --property "$1" --value sysfsm; }
# Between an agent that has failed and the next.
waiting() { [ "$(property SubState)" = auto-restart ]; }
attended() { inside sysfsm status --json | grep '"has_agent":true'; }
unattended() { inside sysfsm status --json | grep '"has_agent":false'; }
policies() { [ "$(inside sysfsm status --json | grep -o '"policy":' | wc -l)" = "$1" ]; }
told() { inside journalctl --boot --unit sysfsm --output cat --no-pager | grep -F -- "$1"; }
told_twice() { [ "$(told 'is not in the policy: killed' | wc -l)" -ge 2 ]; }
served() { grep -qx "$1" "$dir/out"; }

# The policy of one of the copies.
learn() {
	printf 'a\nb\n' | inside strace -f -o /opt/boot/trace "$1" -c "$echoes"
	inside sysfsm extract /opt/boot/trace --binary "$1" -o "/etc/sysfsm/policies/$2.json"
}

# ---- The steps

without_systemd() {
	chroot "$root" dpkg --install /opt/boot/old.deb
	chroot "$root" dpkg --install /opt/boot/new.deb
	chroot "$root" dpkg --purge sysfsm
	[ ! -e "$root/etc/sysfsm" ]
}

installed() {
	inside dpkg --install /opt/boot/old.deb
	[ "$(inside systemctl is-enabled sysfsm)" = enabled ]
	# Without policies there is nothing to start.
	[ "$(property ConditionResult)" = no ]
	[ "$(property ActiveState)" = inactive ]
	[ -z "$(inside dpkg --verify sysfsm)" ]
}

started() {
	sed -i 's/^SYSFSM_OPTIONS=.*/SYSFSM_OPTIONS=--at-most kill/' "$root/etc/sysfsm/sysfsm.conf"
	# The next agent is to come late enough for a look at the time without one.
	mkdir -p "$root/etc/systemd/system/sysfsm.service.d"
	printf '[Service]\nRestartSec=8\n' >"$root/etc/systemd/system/sysfsm.service.d/boot.conf"
	inside systemctl daemon-reload
	learn "$victim" shell
	free "$victim"
	inside systemctl start sysfsm
	active
	property StatusText | grep '^enforcing at level kill: 1 policy'
	# BPF, PERFMON, SYS_PTRACE and DAC_READ_SEARCH.
	inside grep -x 'CapEff:[[:space:]]*000000c000080004' "/proc/$(property MainPID)/status"
}

bound() {
	[ "$(deviation "$victim")" = 137 ]
	lawful "$victim"
	eventually told 'is not in the policy: killed'
	told 'enforcing at level kill: 1 policy'
}

crashed() {
	local before
	before=$(property MainPID)
	inside systemctl kill --signal KILL sysfsm
	eventually waiting
	unattended
	enforced "$victim"
	unattended
	waiting
	eventually active
	attended
	[ "$(property NRestarts)" = 1 ]
	[ "$(property MainPID)" != "$before" ]
	enforced "$victim"
	# What happened meanwhile is told by the next agent.
	eventually told_twice
}

reloaded() {
	learn "$other" other
	free "$other"
	inside systemctl reload sysfsm
	eventually policies 2
	eventually active
	enforced "$other"
	enforced "$victim"
}

refused() {
	echo '{}' >"$root/etc/sysfsm/policies/bad.json"
	inside systemctl reload sysfsm
	eventually told bad.json
	eventually active
	policies 2
	enforced "$victim"
}

upgraded() {
	local before
	before=$(property MainPID)
	inside dpkg --install /opt/boot/new.deb
	inside dpkg --status sysfsm | grep -x "Version: $new"
	active
	[ "$(property MainPID)" != "$before" ]
	attended
	enforced "$victim"
	grep -x 'SYSFSM_OPTIONS=--at-most kill' "$root/etc/sysfsm/sysfsm.conf"
}

# With other options what is enforced is not taken over but replaced, as by another build.
replaced() {
	sed -i 's/^SYSFSM_OPTIONS=.*/SYSFSM_OPTIONS=--at-most kill --no-self-protect/' "$root/etc/sysfsm/sysfsm.conf"
	inside dpkg --install /opt/boot/old.deb
	active
	attended
	enforced "$victim"
	[ "$(find "$dir/bpf/sysfsm" -name manifest | wc -l)" = 1 ]
}

held() {
	served more
	served attack
	[ "$ended" = 137 ]
}

# While the agent enforces the policy of the same binary.
recorded() {
	local unit=sysfsm-record@opt-boot-shell
	inside systemctl start "$unit"
	lawful "$victim"
	inside systemctl stop "$unit"
	[ "$(inside systemctl is-failed "$unit")" = inactive ]
	inside sysfsm diff --check /etc/sysfsm/policies/shell.json /var/lib/sysfsm/opt-boot-shell.json
	rm "$root/var/lib/sysfsm/opt-boot-shell.json"
}

stopped() {
	inside systemctl stop sysfsm
	[ "$(property ActiveState)" = inactive ]
	unattended
	enforced "$victim"
	inside systemctl start sysfsm
	attended
}

disabled() {
	inside systemctl disable --now sysfsm
	inside dpkg --install /opt/boot/new.deb
	[ "$(inside systemctl is-enabled sysfsm || true)" = disabled ]
	enforced "$victim"
	inside systemctl enable --now sysfsm
}

booted() {
	active
	attended
	[ "$(property ConditionResult)" = yes ]
	# Ready before the rest of the system is started.
	[ "$(property ActiveEnterTimestampMonotonic)" -le \
		"$(inside systemctl show --property ActiveEnterTimestampMonotonic --value basic.target)" ]
	enforced "$victim"
	enforced "$other"
}

removed() {
	inside dpkg --remove sysfsm
	[ ! -e "$dir/bpf/sysfsm" ]
	free "$victim"
	free "$other"
	[ "$(property LoadState)" = not-found ]
	[ -z "$(inside pgrep -x sysfsm || true)" ]
	[ -e "$root/etc/sysfsm/sysfsm.conf" ]
}

purged() {
	inside dpkg --purge sysfsm
	# Only what the user has put there.
	[ "$(find "$root/etc/sysfsm" -type f | sort)" = "$(printf '%s\n' "$root"/etc/sysfsm/policies/{other,shell}.json)" ]
	rm "$root"/etc/sysfsm/policies/*.json
	inside dpkg --install /opt/boot/new.deb
	inside dpkg --purge sysfsm
	# A character device is a mark of overlayfs: something was removed here.
	rm -rf "$root/etc/systemd/system/sysfsm.service.d"
	[ -z "$(find "$dir/memory/upper" -name '*sysfsm*' ! -type c ! -path '*/var/log/*')" ]
	[ -z "$(inside systemctl --failed --plain --no-legend)" ]
}

# ---- All of it

prepare
for group in $(cgroups); do mkdir "$group"; done
step "without systemd: installed, upgraded, purged" without_systemd
if ! boot; then
	printf 'failed  boot\n'
	sed 's/^/            /' "$dir/console"
	exit 1
fi
printf 'ok      boot: %s is PID 1\n' "$(inside systemctl --version | head -n 1)"
step "dpkg --install: enabled, and not started without policies" installed
step "start: active, enforcing, with four capabilities" started

# One that runs through it all.
mkfifo "$dir/in"
exec 7<>"$dir/in"
LIMIT=900 inside "$victim" -c "$serves" <"$dir/in" >"$dir/out" 2>&1 &
server=$!
echo first >&7
eventually served first || true

step "a lawful run passes, a deviating one is killed (137), the journal tells" bound
step "agent killed: enforced without it, restarted by systemd" crashed
step "reload: a new policy binds" reloaded
step "reload: a bad policy changes nothing, the journal tells" refused
rm -f "$root/etc/sysfsm/policies/bad.json"
step "dpkg --install of a higher version: the agent is the new one, still enforced" upgraded
step "dpkg --install with other options: replaced, still enforced" replaced
echo more >&7
echo attack >&7
ended=0
wait "$server" 2>/dev/null || ended=$?
step "who ran through all of it is served, and killed (137) when it deviates" held
step "systemctl start sysfsm-record@: a policy as from strace, beside the agent" recorded
step "systemctl stop: the agent ends, enforcement does not" stopped
step "systemctl disable: an upgrade leaves it disabled, and what is pinned enforced" disabled
halt
if boot; then
	printf 'ok      boot anew\n'
else
	printf 'failed  boot anew\n'
	sed 's/^/            /' "$dir/console"
	exit 1
fi
step "after a boot: enforced before basic.target" booted
step "dpkg --remove: nothing pinned, nothing enforced, no process" removed
step "dpkg --purge: no file left but the user's" purged
halt

if [ "$failures" = 0 ]; then
	echo "every step passed"
else
	echo "failed steps: $failures"
	exit 1
fi
