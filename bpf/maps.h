/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The maps of the step. Their sizes are set before loading, from the policies. */
#ifndef SYSFSM_MAPS_H
#define SYSFSM_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "sysfsm.h"

/* The table. User space writes its cells in place. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sysfsm_cell);
} cells SEC(".maps");

/* Cells of calls without a column: state and call → next state. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct sysfsm_far);
	__type(value, __u32);
} far_cells SEC(".maps");

/* Policies, numbered from 1; 0 is none. User space says in place which ones are enforced. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sysfsm_policy);
} policies SEC(".maps");

/* Context, whole or partial → state, of policies under which threads go on after violations. Only
 * read then. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct sysfsm_context);
	__type(value, __u32);
} contexts SEC(".maps");

/* State → its context, whole or partial, of the same policies. Only read after violations. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sysfsm_context);
} histories SEC(".maps");

/* Where the threads of a policy that another one has replaced go on. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct sysfsm_migration_key);
	__type(value, __u32);
} migrations SEC(".maps");

#endif /* SYSFSM_MAPS_H */
