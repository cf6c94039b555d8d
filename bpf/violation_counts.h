/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Violations counted by their kinds: a thread that repeats one a million times a second does not
 * drown the others. The first violations of a kind have events of their own, the rest is a count.
 *
 * Nor does a thread that makes very many kinds. All calls by numbers that no kernel has are one
 * kind. A kind that finds no room is counted by its policy and call, for which there always is
 * room. And the first violation of a policy by a call has an event: a part of the ring buffer is
 * kept for it.
 */
#ifndef SYSFSM_VIOLATION_COUNTS_H
#define SYSFSM_VIOLATION_COUNTS_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "counters.h"
#include "event.h"
#include "sysfsm.h"

#define SYSFSM_SECOND 1000000000ull
/* The first violations of a kind that have an event until the ring buffer is nearly full. */
#define SYSFSM_FIRST_EVENTS 16

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

/* Policy and call → its violations whose kinds found no room. The first entry is that of no policy:
 * its count is the sum of all. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sysfsm_call_count);
} call_counts SEC(".maps");

/* Policy and call → how many of these user space has reported as a count. Not read here. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} calls_reported SEC(".maps");

SYSFSM_EXPORT(struct, sysfsm_call_count);

/* The number of a call by which it is counted: that of a call which no kernel has is SYSFSM_CALLS.
 */
static __always_inline __u32 sysfsm_counted_nr(__u32 nr)
{
	return (nr & ~SYSFSM_X32_BIT) < SYSFSM_CALLS ? nr : SYSFSM_CALLS;
}

/* The count of a call; NULL if the policy is none. */
static __always_inline struct sysfsm_call_count *
sysfsm_call_count_of(const struct sysfsm_violation_kind *kind)
{
	__u32 index = kind->policy * SYSFSM_CALL_COUNTS;

	if (kind->abi == SYSFSM_X86_64)
		index += sysfsm_counted_nr(kind->nr);
	else
		index += SYSFSM_CALLS + kind->abi;
	return bpf_map_lookup_elem(&call_counts, &index);
}

/* Counts a violation whose kind has no room. */
static __always_inline void sysfsm_count_call(struct sysfsm_call_count *call,
					      const struct sysfsm_violation_kind *kind)
{
	struct sysfsm_call_count *sum;
	__u32 zero = 0;

	SYSFSM_COUNT(call->count);
	sum = bpf_map_lookup_elem(&call_counts, &zero);
	if (sum)
		SYSFSM_COUNT(sum->count);
	call->verdict = kind->verdict;
	call->action = kind->action;
}

/* Whether less than so many eighths of the ring buffer wait to be read. */
static __always_inline bool sysfsm_ring_below(__u32 eighths)
{
	return bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) <
	       bpf_ringbuf_query(&events, BPF_RB_RING_SIZE) / 8 * eighths;
}

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
	return sysfsm_ring_below(count->count <= SYSFSM_FIRST_EVENTS ? 7 : 4);
}

#endif /* SYSFSM_VIOLATION_COUNTS_H */
