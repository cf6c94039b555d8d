// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Drives the step of `enforce` with events from user space, for the test that compares it with the
 * Rust step.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "../maps.h"
#include "../step.h"
#include "../sysfsm.h"

#define SYSFSM_TEST_THREADS 64
#define SYSFSM_TEST_EVENTS 1024

char LICENSE[] SEC("license") = "Dual MIT/GPL";

enum sysfsm_test_kind {
	SYSFSM_TEST_EXEC = 0,
	SYSFSM_TEST_ADOPT = 1,
	SYSFSM_TEST_FORK = 2,
	SYSFSM_TEST_SIGNAL = 3,
	SYSFSM_TEST_CALL = 4,
	SYSFSM_TEST_FOREIGN = 5,
};
SYSFSM_EXPORT(enum, sysfsm_test_kind);

struct sysfsm_test_event {
	__u32 kind;
	__u32 thread;
	__u32 value; /* policy, child, signal or call */
	__u32 verdict; /* out */
	__u32 state; /* out: of the thread, before a call */
	__u32 alternate; /* the alternate stack that the stack pointer is on; 0: none */
	__u64 pointer; /* the stack pointer */
	struct sysfsm_history unmodelled; /* out: the context, where it is not the state's */
	__u32 delivery; /* of a signal: 1, after a failed setup; twice the alternate stack where the
			 * handler begins */
};
SYSFSM_EXPORT(struct, sysfsm_test_event);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SYSFSM_TEST_THREADS);
	__type(key, __u32);
	__type(value, struct sysfsm_thread);
} test_threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SYSFSM_TEST_EVENTS);
	__type(key, __u32);
	__type(value, struct sysfsm_test_event);
} test_events SEC(".maps");

/* How many of the events are to be taken, and how many were. */
__u32 wanted = 0;
__u32 taken = 0;

/* A global function: the verifier looks at it once, and not once for each event. */
__noinline int sysfsm_take(__u32 index)
{
	struct sysfsm_thread *thread, *child;
	const struct sysfsm_policy *policy;
	struct sysfsm_test_event *event;
	struct sysfsm_delivery by = {};
	__u32 value, at;

	event = bpf_map_lookup_elem(&test_events, &index);
	if (!event)
		return -1;
	value = event->value;
	at = event->thread;
	thread = bpf_map_lookup_elem(&test_threads, &at);
	if (!thread)
		return -1;
	if (event->kind >= SYSFSM_TEST_CALL && event->pointer >= thread->slow_from)
		sysfsm_unwind(thread, event->pointer, event->alternate);
	event->state = thread->top.state;
	if (thread->top.unmodelled)
		event->unmodelled = thread->top.history;
	switch (event->kind) {
	case SYSFSM_TEST_EXEC:
	case SYSFSM_TEST_ADOPT:
		policy = bpf_map_lookup_elem(&policies, &value);
		if (!policy)
			return -1;
		sysfsm_bind(thread, value, policy, event->kind == SYSFSM_TEST_ADOPT);
		return 0;
	case SYSFSM_TEST_FORK:
		child = bpf_map_lookup_elem(&test_threads, &value);
		if (!child)
			return -1;
		/* One copy of it all would be too long for clang. */
		__builtin_memcpy(child, thread, __builtin_offsetof(struct sysfsm_thread, saved));
		__builtin_memcpy(&child->saved, &thread->saved, sizeof(child->saved));
		__builtin_memcpy(&child->deliveries, &thread->deliveries,
				 sizeof(child->deliveries));
		child->older_returns = 0;
		return 0;
	case SYSFSM_TEST_SIGNAL:
		by.pointer = event->pointer;
		by.from = event->alternate;
		by.switches = event->delivery > 1;
		by.stack = by.switches ? event->delivery >> 1 : by.from;
		by.setup_failed = event->delivery & 1;
		sysfsm_signal(thread, value, &by);
		return 0;
	case SYSFSM_TEST_CALL:
		event->verdict = sysfsm_call(thread, value, &event->state);
		return 0;
	case SYSFSM_TEST_FOREIGN:
		event->verdict = sysfsm_foreign(thread, &event->state);
		return 0;
	default:
		return -1;
	}
}

SEC("syscall")
int drive(void *ctx)
{
	taken = 0;
	for (__u32 i = 0; i < SYSFSM_TEST_EVENTS; i++) {
		if (i >= wanted)
			break;
		if (sysfsm_take(i))
			return -1;
		taken++;
	}
	return 0;
}
