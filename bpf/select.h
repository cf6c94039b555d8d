/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The policy of a binary: there may be one for a cgroup, and one for everywhere else. */
#ifndef SYSFSM_SELECT_H
#define SYSFSM_SELECT_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "identity.h"
#include "kernel.h"
#include "maps.h"
#include "paths.h"
#include "step.h"
#include "sysfsm.h"

/* Before Linux 6.1 a task's cgroup may be this many levels below SYSFSM_LEVELS. In a cgroup below
 * that no policies for cgroups are enforced. */
#define SYSFSM_LEVELS_WALKED 256

/* The zeros behind the last name. */
const char nothing[SYSFSM_PATH] = {};

/* Whether there are policies for cgroups. */
bool cgroups_used = false;

/* A cgroup's number, by its path. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct sysfsm_path);
	__type(value, __u32);
} cgroups SEC(".maps");

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

static __always_inline struct kernfs_node *sysfsm_cgroup_parent(struct kernfs_node *node)
{
	struct kernfs_node___renamed *renamed = (void *)node;

	if (bpf_core_field_exists(renamed->__parent))
		return BPF_CORE_READ(renamed, __parent);
	return BPF_CORE_READ(node, parent);
}

/* The cgroup itself, or its ancestor at the deepest level that a policy's cgroup can have. */
static __always_inline struct kernfs_node *sysfsm_nearest(struct cgroup *cgroup)
{
	struct kernfs_node *node = BPF_CORE_READ(cgroup, kn);
	int level = BPF_CORE_READ(cgroup, level);
	struct cgroup *ancestor = NULL;
	unsigned long offset;

	if (level <= SYSFSM_LEVELS)
		return node;
	if (bpf_core_field_exists(cgroup->ancestors)) {
		offset = bpf_core_field_offset(struct cgroup, ancestors);
		offset += SYSFSM_LEVELS * sizeof(ancestor);
		if (bpf_probe_read_kernel(&ancestor, sizeof(ancestor), (void *)cgroup + offset))
			return NULL;
		return BPF_CORE_READ(ancestor, kn);
	}
	for (int i = 0; i < SYSFSM_LEVELS_WALKED && level > SYSFSM_LEVELS; i++, level--)
		node = sysfsm_cgroup_parent(node);
	return level > SYSFSM_LEVELS ? NULL : node;
}

/*
 * Writes the names of a cgroup and of its ancestors, except the highest one, which has no name,
 * then as many zeros as a key has bytes. False: a name cannot be read. There is room for all names.
 */
static __always_inline bool sysfsm_write_cgroup(struct sysfsm_names *scratch,
						struct kernfs_node *node)
{
	struct kernfs_node *above;
	__u32 end;

	_Static_assert(SYSFSM_LEVELS * SYSFSM_NAME < SYSFSM_LONG_PATH, "room for all names");
	scratch->room = SYSFSM_LONG_PATH;
	for (int i = 0; i <= SYSFSM_LEVELS && node; i++) {
		above = sysfsm_cgroup_parent(node);
		if (!above) {
			end = scratch->length & (SYSFSM_LONG_PATH - 1);
			return !bpf_probe_read_kernel(&scratch->text[end], SYSFSM_PATH, nothing);
		}
		if (sysfsm_write_name(scratch, BPF_CORE_READ(node, name)) <= 0)
			return false;
		node = above;
	}
	return false;
}

/* The length of the first name of a text, with its zero. */
static __always_inline __u32 sysfsm_name_length(const char *text)
{
	char name[SYSFSM_NAME];
	long length = bpf_probe_read_kernel_str(name, sizeof(name), text);

	return length > 0 ? length : SYSFSM_NAME;
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
	struct sysfsm_names *scratch = sysfsm_path_scratch(slot);

	if (scratch &&
	    sysfsm_write_cgroup(scratch, sysfsm_nearest(BPF_CORE_READ(task, cgroups, dfl_cgrp))))
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
