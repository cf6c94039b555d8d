/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The frames of a thread: the program's own, and one for each signal handler over it (semantics,
 * rule 3). step.h and record_step.h give the states of frames their meaning. src/machine/frames.rs
 * does the same in Rust.
 */
#ifndef SYSFSM_FRAMES_H
#define SYSFSM_FRAMES_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "counters.h"
#include "kernel.h"
#include "sysfsm.h"

#define SYSFSM_NR_RT_SIGRETURN 15
#define SYSFSM_NR_EXECVE 59
#define SYSFSM_NR_EXIT 60
#define SYSFSM_NR_RESTART_SYSCALL 219
#define SYSFSM_NR_EXIT_GROUP 231

#define SYSFSM_RING (SYSFSM_FRAMES - 1)

static __always_inline void sysfsm_frame_init(struct sysfsm_frame *frame, __u32 state, __u32 last)
{
	frame->state = state;
	frame->last = last;
	frame->unmodelled = 0;
	__builtin_memset(&frame->history, 0, sizeof(frame->history));
}

/* The deliveries of active handlers, the outermost one first. */
static __always_inline struct sysfsm_delivery *sysfsm_delivery_at(struct sysfsm_thread *thread,
								  __u32 index)
{
	return &thread->deliveries[(thread->head - thread->below + index) & SYSFSM_RING];
}

/*
 * Sets from which stack pointer on calls take the slow path. Not static: the verifier looks at a
 * global function once a program.
 */
__noinline int sysfsm_set_slow_from(struct sysfsm_thread *thread)
{
	__u64 lowest = SYSFSM_NO_HANDLER;
	__u32 switched = 0;

	if (!thread)
		return 0;
	/* Unknown to the verifier, or it would walk each way on from each of its values. */
	barrier_var(lowest);
	barrier_var(switched);
	for (__u32 i = 0; i < SYSFSM_FRAMES - 1; i++) {
		const struct sysfsm_delivery *delivery = sysfsm_delivery_at(thread, i);
		__u64 pointer = delivery->pointer;

		if (i >= thread->below)
			break;
		lowest = pointer < lowest ? pointer : lowest;
		switched |= delivery->switches | delivery->alternate;
	}
	/* What was an alternate stack may be any memory by now. The handler that has switched there
	 * may be one too many, and dropped, while those that began within it are active. */
	if (!switched)
		thread->alternate_size = 0;
	thread->slow_from = lowest;
	/* Another thread of the process may have set the enforcement state meanwhile, and then
	 * `slow_from`. The addition is a barrier. */
	__sync_fetch_and_add(&thread->slow_from, 0);
	if (thread->enforcement)
		thread->slow_from = 0;
	return 0;
}

/* What is enforced on the thread from now on. */
static __always_inline void sysfsm_enforce(struct sysfsm_thread *thread, __u8 enforcement)
{
	thread->enforcement = enforcement;
	if (enforcement)
		thread->slow_from = 0;
	else
		sysfsm_set_slow_from(thread);
}

/* One frame, right after an exec. */
static __always_inline void sysfsm_frames_exec(struct sysfsm_thread *thread, __u32 state)
{
	thread->head = 0;
	thread->below = 0;
	thread->older_returns = 0;
	sysfsm_frame_init(&thread->top, state, SYSFSM_NR_EXECVE);
	sysfsm_set_slow_from(thread);
}

/*
 * One frame of a thread whose past is not known. How many returns from older handlers it may make:
 * SYSFSM_UNTIL_A_CALL, or, of a recording, which takes each for lawful, as many as there are
 * frames.
 */
static __always_inline void sysfsm_frames_unknown(struct sysfsm_thread *thread, __u32 state,
						  __u32 older_returns)
{
	thread->head = 0;
	thread->below = 0;
	thread->older_returns = older_returns;
	sysfsm_frame_init(&thread->top, state, SYSFSM_NO_SYMBOL);
	sysfsm_set_slow_from(thread);
}

/* Nothing is known of the frame in use any more, and the thread has called something. */
static __always_inline void sysfsm_frame_forget(struct sysfsm_thread *thread, __u32 state)
{
	if (thread->older_returns == SYSFSM_UNTIL_A_CALL)
		thread->older_returns = 0;
	sysfsm_frame_init(&thread->top, state, SYSFSM_NO_SYMBOL);
}

/* Drops the frame that the active handler `index` has interrupted, and those above it. The frame in
 * use stays. */
static __always_inline void sysfsm_drop_from(struct sysfsm_thread *thread, __u32 index)
{
	thread->head -= thread->below - index;
	thread->below = index;
}

/*
 * Drops the frames of handlers that the stack has been unwound past, by siglongjmp say: the
 * outermost one, and those above it. The frame in use goes on. Not static: the verifier looks at a
 * global function once a program.
 */
__noinline int sysfsm_unwind(struct sysfsm_thread *thread, __u64 pointer, __u32 alternate)
{
	if (!thread)
		return 0;
	for (__u32 i = 0; i < SYSFSM_FRAMES - 1; i++) {
		const struct sysfsm_delivery *by = sysfsm_delivery_at(thread, i);
		__u32 stack = by->alternate && !by->switches;

		if (i >= thread->below)
			break;
		if (!alternate == !stack && pointer >= by->pointer) {
			sysfsm_drop_from(thread, i);
			break;
		}
	}
	sysfsm_set_slow_from(thread);
	return 0;
}

/*
 * Takes back the newest handler, if it has made no call, and the thread is where that handler's
 * signal found it: the kernel could not set up its frame. False: it is another handler.
 */
static __always_inline bool sysfsm_take_back(struct sysfsm_thread *thread,
					     const struct sysfsm_delivery *now)
{
	const struct sysfsm_delivery *newest;
	__u32 slot = thread->head - 1;

	newest = &thread->deliveries[slot & SYSFSM_RING];
	if (!thread->below || thread->top.last != SYSFSM_NO_SYMBOL ||
	    newest->pointer != now->pointer || newest->alternate != now->alternate)
		return false;
	thread->below--;
	thread->head--;
	thread->top = thread->saved[slot & SYSFSM_RING];
	return true;
}

/* A handler begins, in a frame of its own. Past the limit the outermost handler counts as over. */
static __always_inline void sysfsm_push(struct sysfsm_thread *thread, __u32 state,
					const struct sysfsm_delivery *by)
{
	struct sysfsm_counters *counts;

	if (!by->setup_failed || !sysfsm_take_back(thread, by))
		sysfsm_unwind(thread, by->pointer, by->alternate);
	/* The kernel writes the frame to the end of the alternate stack, over those there. */
	for (__u32 i = 0; by->switches && i < SYSFSM_FRAMES - 1; i++) {
		const struct sysfsm_delivery *there = sysfsm_delivery_at(thread, i);

		if (i < thread->below && (there->switches || there->alternate))
			sysfsm_drop_from(thread, i);
	}
	thread->saved[thread->head & SYSFSM_RING] = thread->top;
	thread->deliveries[thread->head & SYSFSM_RING] = *by;
	thread->head++;
	if (thread->below < SYSFSM_FRAMES - 1) {
		thread->below++;
	} else {
		counts = sysfsm_counters();
		if (counts)
			SYSFSM_COUNT(counts->frames_dropped);
	}
	sysfsm_set_slow_from(thread);
	sysfsm_frame_init(&thread->top, state, SYSFSM_NO_SYMBOL);
}

/*
 * A handler ends: the interrupted frame goes on. A return from a handler that began before the
 * thread was seen leaves the frame in the state `unknown`. False: no handler is active.
 */
static __always_inline bool sysfsm_pop(struct sysfsm_thread *thread, __u32 unknown)
{
	if (thread->below) {
		/* The handler has made a call. */
		if (thread->top.last != SYSFSM_NO_SYMBOL &&
		    thread->older_returns == SYSFSM_UNTIL_A_CALL)
			thread->older_returns = 0;
		thread->below--;
		thread->head--;
		thread->top = thread->saved[thread->head & SYSFSM_RING];
		sysfsm_set_slow_from(thread);
		return true;
	}
	if (!thread->older_returns)
		return false;
	if (thread->older_returns != SYSFSM_UNTIL_A_CALL)
		thread->older_returns--;
	else if (thread->top.last != SYSFSM_NO_SYMBOL)
		return false;
	sysfsm_frame_init(&thread->top, unknown, SYSFSM_NO_SYMBOL);
	return true;
}

static __always_inline bool sysfsm_on_stack(__u64 pointer, __u64 at, __u64 size)
{
	return pointer - at - 1 < size;
}

/*
 * Whether a stack pointer is on the thread's alternate signal stack (__on_sig_stack,
 * include/linux/sched/signal.h). SS_AUTODISARM takes the stack from the task while a handler runs
 * there.
 */
static __always_inline bool sysfsm_on_alternate(struct task_struct *task,
						const struct sysfsm_thread *thread, __u64 pointer)
{
	return sysfsm_on_stack(pointer, task->sas_ss_sp, task->sas_ss_size) ||
	       sysfsm_on_stack(pointer, thread->alternate_at, thread->alternate_size);
}

/* Whether a violation is only reported. */
static __always_inline bool sysfsm_only_logs(__u32 action)
{
	return action == SYSFSM_LOG || action == SYSFSM_COMPLAIN;
}

#endif /* SYSFSM_FRAMES_H */
