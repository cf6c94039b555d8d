/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The step of a recording. src/machine/learn.rs does the same in Rust; tests/equality drives both
 * with the same events.
 *
 * The state of a frame is a node: the number, from 1, of a context of one program; 0 while the
 * frame's past is not known. The transitions are in one open-addressed table: a call that was made
 * before costs one cell.
 */
#ifndef SYSFSM_RECORD_STEP_H
#define SYSFSM_RECORD_STEP_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "counters.h"
#include "frames.h"
#include "history.h"
#include "runs.h"
#include "sysfsm.h"

/* How far from its home cell a transition may be. */
#define SYSFSM_PROBES 64
#define SYSFSM_NO_EDGE 0xffffffffu

const volatile __u32 depth = 2;
/* The base-2 logarithm of the number of cells in the table. */
const volatile __u32 edge_bits = 1;

/* Program and context → node. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct sysfsm_context);
	__type(value, __u32);
} nodes SEC(".maps");

/* Node → its program and context. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sysfsm_context);
} node_contexts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sysfsm_edge);
} edges SEC(".maps");

__u32 nodes_used = 0;
__u64 edges_used = 0;
/* When the last new transition was recorded: CLOCK_MONOTONIC, ns. */
__u64 newest = 0;
/* Calls whose context, and calls whose transition, found no room. */
__u64 nodes_lost = 0;
__u64 edges_lost = 0;
/* rt_sigreturn with no handler active. */
__u64 stray_returns = 0;

/* The node of a context; 0: there is no room for a new one. */
static __noinline __u32 sysfsm_node(const struct sysfsm_context *context)
{
	__u32 *found = bpf_map_lookup_elem(&nodes, context);
	struct sysfsm_context *slot = NULL;
	__u32 node;

	if (found)
		return *found;
	/* Counted up only while there is room: the counter must not wrap. */
	node = nodes_used + 1;
	if (bpf_map_lookup_elem(&node_contexts, &node)) {
		node = __sync_fetch_and_add(&nodes_used, 1) + 1;
		slot = bpf_map_lookup_elem(&node_contexts, &node);
	}
	if (slot) {
		*slot = *context;
		if (!bpf_map_update_elem(&nodes, context, &node, BPF_NOEXIST))
			return node;
		/* Another CPU has added the context meanwhile; this number stays unused. */
		found = bpf_map_lookup_elem(&nodes, context);
		if (found)
			return *found;
	}
	SYSFSM_COUNT(nodes_lost);
	return 0;
}

/* The node to which a symbol leads from a node; from node 0 the symbol begins a context. */
static __noinline __u32 sysfsm_follow(__u32 program, __u32 node, __u32 symbol)
{
	struct sysfsm_context context = { .policy = program };
	const struct sysfsm_context *from;

	if (node) {
		from = bpf_map_lookup_elem(&node_contexts, &node);
		if (!from)
			return 0;
		context = *from;
	}
	if (depth > 1)
		sysfsm_history_push(&context.history, symbol, depth - 1);
	return sysfsm_node(&context);
}

/* The home cell of a transition (Fibonacci hashing: Knuth, TAOCP 3, 6.4). */
static __always_inline __u32 sysfsm_home(__u64 key)
{
	return key * 0x9e3779b97f4a7c15ull >> (64 - edge_bits);
}

/* The cell of a transition, which is added if it is new; none: there is no room near its home. */
static __noinline __u32 sysfsm_edge_at(__u64 key)
{
	__u32 mask = (1u << edge_bits) - 1;
	__u32 home = sysfsm_home(key);
	struct sysfsm_edge *edge;
	__u64 found;
	__u32 at;

	for (__u32 i = 0; i < SYSFSM_PROBES; i++) {
		at = (home + i) & mask;
		edge = bpf_map_lookup_elem(&edges, &at);
		if (!edge)
			break;
		found = *(volatile __u64 *)&edge->key;
		if (!found) {
			found = __sync_val_compare_and_swap(&edge->key, 0, key);
			if (!found) {
				SYSFSM_COUNT(edges_used);
				newest = bpf_ktime_get_ns();
				return at;
			}
		}
		if (found == key)
			return at;
	}
	SYSFSM_COUNT(edges_lost);
	return SYSFSM_NO_EDGE;
}

/* Counts a transition; returns the node to which it leads. */
static __always_inline __u32 sysfsm_take(struct sysfsm_thread *thread, __u32 symbol)
{
	__u32 from = thread->top.state;
	__u64 key = (__u64)from << 32 | symbol;
	__u32 at = sysfsm_home(key);
	struct sysfsm_edge *edge = bpf_map_lookup_elem(&edges, &at);
	__u32 next;

	if (!edge || edge->key != key) {
		at = sysfsm_edge_at(key);
		edge = bpf_map_lookup_elem(&edges, &at);
		if (!edge)
			return sysfsm_follow(thread->policy, from, symbol);
	}
	SYSFSM_COUNT(edge->calls);
	if (edge->run != thread->run)
		sysfsm_run_takes(edge, at, thread->run);
	next = edge->next;
	if (!next) {
		/* Every CPU finds the same node. */
		next = sysfsm_follow(thread->policy, from, symbol);
		edge->next = next;
	}
	return next;
}

/* A thread after a successful exec, in a run of its own. */
static __always_inline void sysfsm_record_exec(struct sysfsm_thread *thread, __u32 program)
{
	thread->run = sysfsm_run_begin(program, false);
	sysfsm_frames_exec(thread, sysfsm_follow(program, 0, SYSFSM_NR_EXECVE));
	thread->policy = program;
}

/* A handler begins. */
static __always_inline void sysfsm_record_signal(struct sysfsm_thread *thread, __u32 signal,
						 const struct sysfsm_delivery *by)
{
	sysfsm_push(thread, sysfsm_follow(thread->policy, 0, SYSFSM_SIGNAL_BASE + signal), by);
}

/* A call through a foreign ABI is no symbol: what follows has no known past. */
static __always_inline void sysfsm_record_foreign(struct sysfsm_thread *thread)
{
	sysfsm_frame_forget(thread, 0);
}

/* A handler ends: a transition of the handler's frame. After a stray return no past is known. */
static __noinline int sysfsm_record_return(struct sysfsm_thread *thread)
{
	if (thread->top.state)
		sysfsm_take(thread, SYSFSM_NR_RT_SIGRETURN);
	if (!sysfsm_pop(thread, 0)) {
		SYSFSM_COUNT(stray_returns);
		sysfsm_record_foreign(thread);
	}
	return 0;
}

/* One call of the 64-bit ABI. */
static __always_inline void sysfsm_record_call(struct sysfsm_thread *thread, __u32 nr)
{
	if (nr == SYSFSM_NR_RT_SIGRETURN) {
		sysfsm_record_return(thread);
		return;
	}
	if (sysfsm_is_kernels(nr) || nr == thread->top.last)
		return;
	thread->top.last = nr;
	if (thread->top.state)
		thread->top.state = sysfsm_take(thread, nr);
	else
		thread->top.state = sysfsm_follow(thread->policy, 0, nr);
}

#endif /* SYSFSM_RECORD_STEP_H */
