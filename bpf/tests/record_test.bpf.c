// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Drives the step of `record` with events from user space, for the test that compares it with the
 * Rust learner.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "../frames.h"
#include "../record_step.h"
#include "../runs.h"
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
	SYSFSM_TEST_END = 6,
};
SYSFSM_EXPORT(enum, sysfsm_test_kind);

struct sysfsm_test_event {
	__u32 kind;
	__u32 thread;
	__u32 value; /* program, child, signal or call */
	__u32 other; /* of an adoption: a thread whose run it joins; itself: a new run */
};

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
__u32 events_taken = 0;

static __always_inline void sysfsm_test_end(struct sysfsm_thread *thread)
{
	if (thread->policy)
		sysfsm_run_leave(thread->run);
	thread->policy = 0;
}

static __always_inline int sysfsm_test_adopt(struct sysfsm_thread *thread,
					     const struct sysfsm_test_event *event)
{
	const struct sysfsm_thread *of;
	__u32 other = event->other;

	of = bpf_map_lookup_elem(&test_threads, &other);
	if (!of)
		return -1;
	if (of->policy) {
		thread->run = of->run;
		sysfsm_run_join(thread->run);
	} else {
		thread->run = sysfsm_run_begin(event->value, true);
	}
	sysfsm_frames_unknown(thread, 0, SYSFSM_HANDLERS);
	thread->policy = event->value;
	return 0;
}

/* A global function: the verifier looks at it once, and not once for each event. */
__noinline int sysfsm_take_event(__u32 index)
{
	struct sysfsm_thread *thread, *child;
	struct sysfsm_delivery by = {};
	struct sysfsm_test_event *event;
	__u32 value, at;

	event = bpf_map_lookup_elem(&test_events, &index);
	if (!event)
		return -1;
	value = event->value;
	at = event->thread;
	thread = bpf_map_lookup_elem(&test_threads, &at);
	if (!thread)
		return -1;
	switch (event->kind) {
	case SYSFSM_TEST_EXEC:
		sysfsm_test_end(thread);
		sysfsm_record_exec(thread, value);
		return 0;
	case SYSFSM_TEST_ADOPT:
		return sysfsm_test_adopt(thread, event);
	case SYSFSM_TEST_FORK:
		child = bpf_map_lookup_elem(&test_threads, &value);
		if (!child)
			return -1;
		sysfsm_run_join(thread->run);
		sysfsm_test_end(child);
		/* One copy of it all would be too long for clang. */
		__builtin_memcpy(child, thread, __builtin_offsetof(struct sysfsm_thread, saved));
		__builtin_memcpy(&child->saved, &thread->saved, sizeof(child->saved));
		__builtin_memcpy(&child->deliveries, &thread->deliveries,
				 sizeof(child->deliveries));
		return 0;
	case SYSFSM_TEST_SIGNAL:
		/* Of stacks a log tells nothing: no handler is over. */
		by.pointer = SYSFSM_NO_HANDLER - 1 - thread->head;
		sysfsm_record_signal(thread, value, &by);
		return 0;
	case SYSFSM_TEST_CALL:
		sysfsm_record_call(thread, value);
		return 0;
	case SYSFSM_TEST_FOREIGN:
		sysfsm_record_foreign(thread);
		return 0;
	case SYSFSM_TEST_END:
		sysfsm_test_end(thread);
		return 0;
	default:
		return -1;
	}
}

SEC("syscall")
int drive(void *ctx)
{
	events_taken = 0;
	for (__u32 i = 0; i < SYSFSM_TEST_EVENTS; i++) {
		if (i >= wanted)
			break;
		if (sysfsm_take_event(i))
			return -1;
		events_taken++;
	}
	return 0;
}
