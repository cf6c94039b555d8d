/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Which policy holds for a binary: there may be one in a cgroup, and one anywhere else. */
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

/* Before Linux 6.1 a task's cgroup may be so much deeper. In one below that no policies for cgroups
 * hold. */
#define SYSFSM_LEVELS_CLIMBED 256

/* What is behind the last name. */
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
 * The policy that holds in this one's place; 0 if none does. A global function, so that the
 * verifier looks at it once.
 */
__noinline int sysfsm_holding(__u32 index)
{
	const struct sysfsm_policy *policy;

	for (int i = 0; i <= SYSFSM_MOVES; i++) {
		policy = bpf_map_lookup_elem(&policies, &index);
		/* Also SYSFSM_NOBODY. */
		if (!policy)
			return 0;
		if (!policy->successor)
			return index;
		index = policy->successor;
	}
	return 0;
}

static __always_inline __u32 sysfsm_selected(__u32 binary, __u32 cgroup)
{
	struct sysfsm_selection key = { .binary = binary, .cgroup = cgroup };
	const __u32 *policy = bpf_map_lookup_elem(&selected, &key);

	return policy ? sysfsm_holding(*policy) : 0;
}

static __always_inline struct kernfs_node *sysfsm_above(struct kernfs_node *node)
{
	struct kernfs_node___renamed *renamed = (void *)node;

	if (bpf_core_field_exists(renamed->__parent))
		return BPF_CORE_READ(renamed, __parent);
	return BPF_CORE_READ(node, parent);
}

/* The cgroup itself, or the one above it that is as deep as a policy's can be. */
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
	for (int i = 0; i < SYSFSM_LEVELS_CLIMBED && level > SYSFSM_LEVELS; i++, level--)
		node = sysfsm_above(node);
	return level > SYSFSM_LEVELS ? NULL : node;
}

/*
 * Writes the names of a cgroup and of those above it, but the highest one's, which has none, and a
 * key's length of zeros; whether it got there. There is room for all of them.
 */
static __always_inline bool sysfsm_write_cgroup(struct sysfsm_names *paper,
						struct kernfs_node *node)
{
	struct kernfs_node *above;
	__u32 end;

	_Static_assert(SYSFSM_LEVELS * SYSFSM_NAME < SYSFSM_LONG_PATH, "room for all names");
	paper->room = SYSFSM_LONG_PATH;
	for (int i = 0; i <= SYSFSM_LEVELS && node; i++) {
		above = sysfsm_above(node);
		if (!above) {
			end = paper->length & (SYSFSM_LONG_PATH - 1);
			return !bpf_probe_read_kernel(&paper->text[end], SYSFSM_PATH, nothing);
		}
		if (sysfsm_write_name(paper, BPF_CORE_READ(node, name)) <= 0)
			return false;
		node = above;
	}
	return false;
}

/* The bytes of the first name with its zero. */
static __always_inline __u32 sysfsm_name_length(const char *text)
{
	char name[SYSFSM_NAME];
	long length = bpf_probe_read_kernel_str(name, sizeof(name), text);

	return length > 0 ? length : SYSFSM_NAME;
}

/*
 * The policy for a binary in the cgroup that is written on the paper: of the binary in the nearest
 * cgroup that has one; of the binary anywhere; of anything in the nearest cgroup that has one. A
 * global function, so that the verifier looks at it once.
 */
__noinline int sysfsm_select_written(__u32 binary, __u32 whose)
{
	struct sysfsm_names *paper;
	const __u32 *cgroup;
	__u32 of_cgroup = 0;
	__u32 policy = 0;
	__u32 at = 0;

	paper = bpf_map_lookup_elem(&papers, &whose);
	if (!paper)
		return 0;
	/* The rest of the names is the next cgroup's path. */
	for (int i = 0; i <= SYSFSM_LEVELS; i++) {
		/* It is: what the compiler knows the verifier does not. */
		barrier_var(at);
		at &= SYSFSM_LONG_PATH - 1;
		cgroup = NULL;
		/* What is longer is no policy's. */
		if (paper->length - at <= SYSFSM_PATH)
			cgroup = bpf_map_lookup_elem(&cgroups, &paper->text[at]);
		if (cgroup && binary)
			policy = sysfsm_selected(binary, *cgroup);
		if (policy)
			return policy;
		if (cgroup && !of_cgroup)
			of_cgroup = sysfsm_selected(0, *cgroup);
		if (at >= paper->length)
			break;
		at += sysfsm_name_length(&paper->text[at]);
		if (at > SYSFSM_LONG_PATH - 1)
			break;
	}
	if (binary)
		policy = sysfsm_selected(binary, 0);
	return policy ? policy : of_cgroup;
}

static __noinline __u32 sysfsm_select_in(struct task_struct *task, __u32 binary, __u32 whose)
{
	struct sysfsm_names *paper = sysfsm_paper(whose);

	if (paper &&
	    sysfsm_write_cgroup(paper, sysfsm_nearest(BPF_CORE_READ(task, cgroups, dfl_cgrp))))
		return sysfsm_select_written(binary, whose);
	return binary ? sysfsm_selected(binary, 0) : 0;
}

/* The policy for a binary, which is 0 if it has no number; 0 if there is none. `whose` paper is
 * written on. */
static __always_inline __u32 sysfsm_select(struct task_struct *task, __u32 binary, __u32 whose)
{
	if (cgroups_used)
		return sysfsm_select_in(task, binary, whose);
	return binary ? sysfsm_selected(binary, 0) : 0;
}

#endif /* SYSFSM_SELECT_H */
