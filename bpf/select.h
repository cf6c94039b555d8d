/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The policy of a binary: there may be one for a cgroup, and one for everywhere else. */
#ifndef SYSFSM_SELECT_H
#define SYSFSM_SELECT_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "cgroup.h"
#include "identity.h"
#include "kernel.h"
#include "maps.h"
#include "paths.h"
#include "step.h"
#include "sysfsm.h"

/* Whether there are policies for cgroups. */
bool cgroups_used = false;

/* Binary and cgroup → policy. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct sysfsm_selection);
	__type(value, __u32);
} selected SEC(".maps");

/*
 * The policy itself, or the last of its replacements; 0: there is none. A global function, so that
 * the verifier looks at it once.
 */
__noinline int sysfsm_current_policy(__u32 index)
{
	const struct sysfsm_policy *policy;

	for (int i = 0; i <= SYSFSM_MAX_MIGRATIONS; i++) {
		policy = bpf_map_lookup_elem(&policies, &index);
		/* Also SYSFSM_NO_REPLACEMENT. */
		if (!policy)
			return 0;
		if (!policy->replacement)
			return index;
		index = policy->replacement;
	}
	return 0;
}

static __always_inline __u32 sysfsm_selected(__u32 binary, __u32 cgroup)
{
	struct sysfsm_selection key = { .binary = binary, .cgroup = cgroup };
	const __u32 *policy = bpf_map_lookup_elem(&selected, &key);

	return policy ? sysfsm_current_policy(*policy) : 0;
}

/*
 * The policy of a binary in the cgroup that is written in the scratch buffer. In this order: the
 * policy of the binary in the nearest cgroup that has one; the policy of the binary everywhere; the
 * policy of any binary in the nearest cgroup that has one. A global function, so that the verifier
 * looks at it once.
 */
__noinline int sysfsm_select_written(__u32 binary, __u32 slot)
{
	struct sysfsm_names *scratch;
	const __u32 *cgroup;
	__u32 of_cgroup = 0;
	__u32 policy = 0;
	__u32 at = 0;

	scratch = bpf_map_lookup_elem(&path_scratch, &slot);
	if (!scratch)
		return 0;
	/* Without the first name the text is the parent's path. */
	for (int i = 0; i <= SYSFSM_LEVELS; i++) {
		/* No change: the compiler knows the bound, the verifier does not. */
		barrier_var(at);
		at &= SYSFSM_LONG_PATH - 1;
		cgroup = NULL;
		/* A policy's path is not longer. */
		if (scratch->length - at <= SYSFSM_PATH)
			cgroup = bpf_map_lookup_elem(&cgroups, &scratch->text[at]);
		if (cgroup && binary)
			policy = sysfsm_selected(binary, *cgroup);
		if (policy)
			return policy;
		if (cgroup && !of_cgroup)
			of_cgroup = sysfsm_selected(0, *cgroup);
		if (at >= scratch->length)
			break;
		at += sysfsm_name_length(&scratch->text[at]);
		if (at > SYSFSM_LONG_PATH - 1)
			break;
	}
	if (binary)
		policy = sysfsm_selected(binary, 0);
	return policy ? policy : of_cgroup;
}

static __noinline __u32 sysfsm_select_in(struct task_struct *task, __u32 binary, __u32 slot)
{
	if (sysfsm_written_cgroup(task, slot))
		return sysfsm_select_written(binary, slot);
	return binary ? sysfsm_selected(binary, 0) : 0;
}

/* The policy of a binary; 0: there is none. A binary without a number is 0. The walk uses the
 * scratch buffer of `slot`. */
static __always_inline __u32 sysfsm_select(struct task_struct *task, __u32 binary, __u32 slot)
{
	if (cgroups_used)
		return sysfsm_select_in(task, binary, slot);
	return binary ? sysfsm_selected(binary, 0) : 0;
}

#endif /* SYSFSM_SELECT_H */
