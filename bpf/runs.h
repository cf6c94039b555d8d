/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Runs: a run begins with the exec of a program and ends with the last of its threads. The number
 * of runs that took a transition is exact, also when runs of one program interleave.
 */
#ifndef SYSFSM_RUNS_H
#define SYSFSM_RUNS_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "counters.h"
#include "sysfsm.h"

#define SYSFSM_EEXIST 17
#define SYSFSM_TRIES 16

/* Run → its threads, while there are any. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct sysfsm_run);
} live_runs SEC(".maps");

/* Which live run has taken which edge, if the edge's cell does not say so. User space deletes the
 * entries of runs that have ended. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct sysfsm_taken);
	__type(value, __u32);
} taken SEC(".maps");

/* Program → how many runs it had. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} run_counts SEC(".maps");

__u32 last_run = 0;
/* How often there was no room to note a run, so that the runs of a transition may be too few. */
__u64 runs_uncertain = 0;

/* A run with one thread begins. */
static __noinline __u32 sysfsm_run_begin(__u32 program, bool adopted)
{
	struct sysfsm_run begun = { .threads = 1, .adopted = adopted };
	__u32 run = __sync_fetch_and_add(&last_run, 1) + 1;
	__u64 *count = bpf_map_lookup_elem(&run_counts, &program);

	if (count)
		SYSFSM_COUNT(*count);
	if (bpf_map_update_elem(&live_runs, &run, &begun, BPF_NOEXIST))
		SYSFSM_COUNT(runs_uncertain);
	return run;
}

/* One more thread of a run, begun or found by a live thread of it. */
static __noinline int sysfsm_run_join(__u32 run)
{
	struct sysfsm_run *live = bpf_map_lookup_elem(&live_runs, &run);

	if (live)
		SYSFSM_COUNT(live->threads);
	return 0;
}

static __noinline int sysfsm_run_leave(__u32 run)
{
	struct sysfsm_run *live = bpf_map_lookup_elem(&live_runs, &run);

	if (live && __sync_fetch_and_add(&live->threads, -1) == 1)
		bpf_map_delete_elem(&live_runs, &run);
	return 0;
}

static __always_inline bool sysfsm_run_lives(__u32 run)
{
	return bpf_map_lookup_elem(&live_runs, &run);
}

/* Whether the current thread is the only one of its run, and stays so until it creates another. */
static __always_inline bool sysfsm_run_alone(__u32 run)
{
	const struct sysfsm_run *live = bpf_map_lookup_elem(&live_runs, &run);

	return live && live->threads == 1 && !live->adopted;
}

/*
 * A run takes an edge that another run, or none, has taken last. If the run takes the edge for the
 * first time, it is counted.
 *
 * Invariant: a live run was counted for an edge if the edge's cell names the run, or `taken` has
 * the pair. So a run that removes a live run from a cell puts that one into `taken` before. A run
 * of one thread asks `taken` first: nothing else changes the entry while the run is in no cell. Two
 * threads of a run may come here at once: the one that adds the entry to `taken` counts the run.
 */
static __noinline int sysfsm_run_takes(struct sysfsm_edge *edge, __u32 at, __u32 run)
{
	struct sysfsm_taken mine = { .run = run, .edge = at };
	struct sysfsm_taken other = { .edge = at };
	bool counted = bpf_map_lookup_elem(&taken, &mine);
	bool alone = sysfsm_run_alone(run);
	__u32 one = 1;
	long failed;

	for (int i = 0; i < SYSFSM_TRIES; i++) {
		other.run = *(volatile __u32 *)&edge->run;
		if (other.run == run)
			return 0;
		if (other.run && sysfsm_run_lives(other.run)) {
			/* The other run keeps the cell, or the two would swap it for ever. */
			if (counted)
				return 0;
			if (bpf_map_update_elem(&taken, &other, &one, BPF_ANY))
				break;
		}
		if (!counted && !alone && other.run) {
			failed = bpf_map_update_elem(&taken, &mine, &one, BPF_NOEXIST);
			if (failed && failed != -SYSFSM_EEXIST)
				break;
			if (!failed)
				SYSFSM_COUNT(edge->runs);
			counted = true;
		}
		if (__sync_val_compare_and_swap(&edge->run, other.run, run) == other.run) {
			if (!counted)
				SYSFSM_COUNT(edge->runs);
			return 0;
		}
		if (counted)
			return 0;
	}
	/* Not counted: rather too few runs than one twice. The next call tries again. */
	SYSFSM_COUNT(runs_uncertain);
	return 0;
}

#endif /* SYSFSM_RUNS_H */
