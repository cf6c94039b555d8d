/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Violations of one kind, counted: who repeats one a million times a second is not to drown the
 * others. The first ones are told in full, the rest is told by its number.
 */
#ifndef SYSFSM_TALLY_H
#define SYSFSM_TALLY_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "counters.h"
#include "event.h"
#include "sysfsm.h"

#define SYSFSM_SECOND 1000000000ull
/* So many of a kind are told in full even if the ring buffer fills up. */
#define SYSFSM_FIRST 16

/* So many of a kind are told in full a second. */
const volatile __u32 full_events = 0xffffffff;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct sysfsm_kind_of_violation);
	__type(value, struct sysfsm_tally);
} tallies SEC(".maps");

/* Of each kind how many user space has told by their number. Not read here. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct sysfsm_kind_of_violation);
	__type(value, __u64);
} said SEC(".maps");

/* The tally of a kind, NULL if there is no room for one more. */
static __always_inline struct sysfsm_tally *
sysfsm_tally(const struct sysfsm_kind_of_violation *kind)
{
	struct sysfsm_tally *tally = bpf_map_lookup_elem(&tallies, kind);
	struct sysfsm_tally none = {};

	if (tally)
		return tally;
	/* Another CPU may be faster. */
	bpf_map_update_elem(&tallies, kind, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&tallies, kind);
}

/* Counts a violation; whether it is to be told in full. */
static __always_inline bool sysfsm_in_full(struct sysfsm_tally *tally)
{
	__u64 second = bpf_ktime_get_ns() / SYSFSM_SECOND;

	SYSFSM_COUNT(tally->count);
	/* Two CPUs may begin a second: a few more are told. */
	if (tally->second != second) {
		tally->second = second;
		tally->in_second = 0;
	}
	if (tally->in_second >= full_events)
		return false;
	__sync_fetch_and_add(&tally->in_second, 1);
	return tally->count <= SYSFSM_FIRST ||
	       bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) <
		       bpf_ringbuf_query(&events, BPF_RB_RING_SIZE) / 2;
}

#endif /* SYSFSM_TALLY_H */
