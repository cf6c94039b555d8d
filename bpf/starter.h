/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Who started a run: the user and the cgroup of the task at its exec. Only runs of chosen users and
 * cgroups are learned, and how many runs each of them started is counted.
 *
 * The user is the real one: an exec of a set-user-ID file changes the effective user, and who
 * started it stays the real one (kernel/cred.c, security/commoncap.c). A user id is that of the
 * initial user namespace: who is root in a user namespace of his own is himself here. What the
 * program changes after the exec is of no matter.
 */
#ifndef SYSFSM_STARTER_H
#define SYSFSM_STARTER_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "cgroup.h"
#include "counters.h"
#include "identity.h"
#include "kernel.h"
#include "sysfsm.h"

/* How far above a running process the one is looked for that was started. */
#define SYSFSM_ANCESTORS 16

const volatile bool only_users = false;
const volatile bool only_cgroups = false;

/* The users whose runs are learned. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} users SEC(".maps");

/* How many runs of a program a user started. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct sysfsm_run_user);
	__type(value, __u64);
} run_users SEC(".maps");

/* How many runs of a program were started in a cgroup. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct sysfsm_run_cgroup);
	__type(value, __u64);
} run_cgroups SEC(".maps");

/* Where the keys of `run_cgroups` are made: they are too large for the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct sysfsm_run_cgroup);
} cgroup_scratch SEC(".maps");

SYSFSM_EXPORT(struct, sysfsm_run_user);
SYSFSM_EXPORT(struct, sysfsm_run_cgroup);

/* Learned runs whose user, and whose cgroup, found no room to be counted. */
__u64 run_users_lost = 0;
__u64 run_cgroups_lost = 0;

static __always_inline __u32 sysfsm_uid(struct task_struct *task)
{
	return BPF_CORE_READ(task, real_cred, uid.val);
}

/*
 * The user who started a running process. A server that was started by root has given that up by
 * now, and so have its children: so this is the user of the highest ancestor that runs the same
 * file, with nothing else in between.
 */
static __noinline __u32 sysfsm_starter(struct task_struct *task)
{
	struct task_struct *first = BPF_CORE_READ(task, group_leader);
	struct inode *file = BPF_CORE_READ(first, mm, exe_file, f_inode);
	struct task_struct *parent;

	for (int i = 0; i < SYSFSM_ANCESTORS; i++) {
		parent = BPF_CORE_READ(first, real_parent);
		if (!parent || parent == first ||
		    BPF_CORE_READ(parent, mm, exe_file, f_inode) != file)
			break;
		first = parent;
	}
	return BPF_CORE_READ(first, real_cred, uid.val);
}

/* Whether the cgroup in the scratch buffer is a chosen one, or below one. A global function, so
 * that the verifier looks at it once. */
__noinline int sysfsm_written_is_chosen(__u32 slot)
{
	struct sysfsm_names *scratch = bpf_map_lookup_elem(&path_scratch, &slot);
	__u32 at = 0;

	if (!scratch)
		return false;
	/* Without the first name the text is the parent's path. */
	for (int i = 0; i <= SYSFSM_LEVELS; i++) {
		/* No change: the compiler knows the bound, the verifier does not. */
		barrier_var(at);
		at &= SYSFSM_LONG_PATH - 1;
		/* A chosen path is not longer. */
		if (scratch->length - at <= SYSFSM_PATH &&
		    bpf_map_lookup_elem(&cgroups, &scratch->text[at]))
			return true;
		if (at >= scratch->length)
			break;
		at += sysfsm_name_length(&scratch->text[at]);
		if (at > SYSFSM_LONG_PATH - 1)
			break;
	}
	return false;
}

/* Whether a run of this user in the task's cgroup is learned. A cgroup that cannot be read is none
 * that was chosen. */
static __noinline int sysfsm_chosen(struct task_struct *task, __u32 uid, __u32 slot)
{
	if (only_users && !bpf_map_lookup_elem(&users, &uid))
		return false;
	return !only_cgroups ||
	       (sysfsm_written_cgroup(task, slot) && sysfsm_written_is_chosen(slot));
}

/* Counts one more of a key; false: there is no room for a new one. */
static __always_inline bool sysfsm_one_more(void *map, const void *key)
{
	__u64 *count = bpf_map_lookup_elem(map, key);
	__u64 one = 1;

	if (!count) {
		if (!bpf_map_update_elem(map, key, &one, BPF_NOEXIST))
			return true;
		/* Another CPU may have added the key meanwhile. */
		count = bpf_map_lookup_elem(map, key);
	}
	if (!count)
		return false;
	SYSFSM_COUNT(*count);
	return true;
}

/* A run of a program is learned: this user started it, in the task's cgroup. */
static __noinline int sysfsm_started(struct task_struct *task, __u32 program, __u32 uid, __u32 slot)
{
	struct sysfsm_run_cgroup *in = bpf_map_lookup_elem(&cgroup_scratch, &slot);
	struct sysfsm_run_user by = { .program = program, .uid = uid };
	struct sysfsm_names *names = sysfsm_written_cgroup(task, slot);

	if (!sysfsm_one_more(&run_users, &by))
		SYSFSM_COUNT(run_users_lost);
	if (!in || !names) {
		SYSFSM_COUNT(run_cgroups_lost);
		return 0;
	}
	in->program = program;
	in->cut = names->length > SYSFSM_PATH;
	__builtin_memcpy(in->path.text, names->text, SYSFSM_PATH);
	if (!sysfsm_one_more(&run_cgroups, in))
		SYSFSM_COUNT(run_cgroups_lost);
	return 0;
}

#endif /* SYSFSM_STARTER_H */
