/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The totals, counted by each CPU for itself. */
#ifndef SYSFSM_COUNTERS_H
#define SYSFSM_COUNTERS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "sysfsm.h"

/* Atomic: a veto can be preempted, so that a counter of one CPU can have two writers. */
#define SYSFSM_COUNT(counter) __sync_fetch_and_add(&(counter), 1)

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sysfsm_counters);
} counters SEC(".maps");

static __always_inline struct sysfsm_counters *sysfsm_counters(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&counters, &zero);
}

#endif /* SYSFSM_COUNTERS_H */
