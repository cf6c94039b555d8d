/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The set that this one replaces: which threads it watches. It may be another version's. So what is
 * read here keeps its layout: the map `watched_threads` of a set, and its map `fallback_states`
 * with its key, have values that begin with the number of the thread's policy (struct
 * sysfsm_thread); 0 is none.
 */
#ifndef SYSFSM_PREDECESSOR_H
#define SYSFSM_PREDECESSOR_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "sysfsm.h"
#include "threads.h"

/*
 * Whether this set is about to take over. Afterwards nobody keeps what the maps of the set before
 * say. Without such a set the maps are empty ones of this set.
 */
__u32 taking_over = 0;

/*
 * The maps before take the places of these two. libbpf gives a map the name of the one that takes
 * its place (bpf_map__reuse_fd), by which the skeleton would not find the map: unless that is the
 * first 15 letters of the map's own name, which is all that the kernel keeps of a name.
 */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} watched_threads_before SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct sysfsm_tid);
	__type(value, __u32);
} fallback_states_before SEC(".maps");

/* The number of a policy there → the number here of the policy's binary. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} binaries_before SEC(".maps");

/* The binary under whose policy the set before watches a task, whatever the task runs by now; 0:
 * none. */
static __noinline __u32 sysfsm_binary_before(struct task_struct *task)
{
	const __u32 *policy = NULL;
	const __u32 *binary;
	struct sysfsm_tid tid;

	if (!taking_over)
		return 0;
	if (task->bpf_storage)
		policy = bpf_task_storage_get(&watched_threads_before, task, 0, 0);
	if (!policy || !*policy) {
		tid = sysfsm_tid(task);
		policy = bpf_map_lookup_elem(&fallback_states_before, &tid);
	}
	if (!policy)
		return 0;
	binary = bpf_map_lookup_elem(&binaries_before, policy);
	return binary ? *binary : 0;
}

#endif /* SYSFSM_PREDECESSOR_H */
