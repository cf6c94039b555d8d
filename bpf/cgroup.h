/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Where a task's cgroup is in the hierarchy of version 2, written down as the keys of the map
 * `cgroups` are. */
#ifndef SYSFSM_CGROUP_H
#define SYSFSM_CGROUP_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "identity.h"
#include "kernel.h"
#include "paths.h"
#include "sysfsm.h"

/* Before Linux 6.1 a task's cgroup may be this many levels below SYSFSM_LEVELS. In a cgroup below
 * that no policies for cgroups are enforced, and nothing is recorded by its cgroup. */
#define SYSFSM_LEVELS_WALKED 256

/* The zeros behind the last name. */
const char nothing[SYSFSM_PATH] = {};

/* A cgroup's number, by its path. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct sysfsm_path);
	__type(value, __u32);
} cgroups SEC(".maps");

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

/* Writes the path of a task's cgroup into the scratch buffer of a slot; NULL if it cannot be read.
 */
static __always_inline struct sysfsm_names *sysfsm_written_cgroup(struct task_struct *task,
								  __u32 slot)
{
	struct sysfsm_names *scratch = sysfsm_path_scratch(slot);

	if (scratch &&
	    sysfsm_write_cgroup(scratch, sysfsm_nearest(BPF_CORE_READ(task, cgroups, dfl_cgrp))))
		return scratch;
	return NULL;
}

#endif /* SYSFSM_CGROUP_H */
