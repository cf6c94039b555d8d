/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Violations counted by their kinds: a thread that repeats one a million times a second does not
 * drown the others. The first violations of a kind have events of their own, the rest is a count.
 */
#ifndef SYSFSM_VIOLATION_COUNTS_H
#define SYSFSM_VIOLATION_COUNTS_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "counters.h"
#include "event.h"
#include "sysfsm.h"

#define SYSFSM_SECOND 1000000000ull
/* The first violations of a kind that have an event however full the ring buffer is. */
#define SYSFSM_ALWAYS_EVENTS 16

/* The most events of one kind a second. */
const volatile __u32 full_events = 0xffffffff;

/* Kind → its violations. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct sysfsm_violation_kind);
	__type(value, struct sysfsm_violation_count);
} kind_counts SEC(".maps");

/* Kind → how many of its violations user space has reported as a count. Not read here. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct sysfsm_violation_kind);
	__type(value, __u64);
} reported SEC(".maps");

/* The count of a kind, NULL if there is no room for one more kind. */
static __always_inline struct sysfsm_violation_count *
sysfsm_count_of(const struct sysfsm_violation_kind *kind)
{
	struct sysfsm_violation_count *count = bpf_map_lookup_elem(&kind_counts, kind);
	struct sysfsm_violation_count none = {};

	if (count)
		return count;
	/* Another CPU may have added the kind meanwhile. */
	bpf_map_update_elem(&kind_counts, kind, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&kind_counts, kind);
}

/* Counts a violation; whether it is to have an event. */
static __always_inline bool sysfsm_wants_event(struct sysfsm_violation_count *count)
{
	__u64 second = bpf_ktime_get_ns() / SYSFSM_SECOND;

	SYSFSM_COUNT(count->count);
	/* Two CPUs may begin the same second: then a few more violations have events. */
	if (count->second != second) {
		count->second = second;
		count->in_second = 0;
	}
	if (count->in_second >= full_events)
		return false;
	__sync_fetch_and_add(&count->in_second, 1);
	return count->count <= SYSFSM_ALWAYS_EVENTS ||
	       bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) <
		       bpf_ringbuf_query(&events, BPF_RB_RING_SIZE) / 2;
}

#endif /* SYSFSM_VIOLATION_COUNTS_H */
