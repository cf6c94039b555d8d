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
#define SYSFSM_NR_URETPROBE 335
#define SYSFSM_NR_UPROBE 336

#define SYSFSM_RING (SYSFSM_HANDLERS - 1)

/* A call that the kernel itself has the thread make (semantics, rule 4). */
static __always_inline bool sysfsm_is_kernels(__u32 nr)
{
	return nr == SYSFSM_NR_RESTART_SYSCALL || nr == SYSFSM_NR_URETPROBE ||
	       nr == SYSFSM_NR_UPROBE;
}

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

	if (!thread)
		return 0;
	/* Unknown to the verifier, or it would walk each way on from each of its values. */
	barrier_var(lowest);
	for (__u32 i = 0; i < SYSFSM_HANDLERS; i++) {
		const struct sysfsm_delivery *delivery = sysfsm_delivery_at(thread, i);
		__u64 pointer = delivery->pointer;

		if (i >= thread->below)
			break;
		lowest = pointer < lowest ? pointer : lowest;
	}
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
	thread->deliveries[(thread->head - 1) & SYSFSM_RING].forgotten = 1;
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
__noinline int sysfsm_unwind(struct sysfsm_thread *thread, __u64 pointer, __u64 alternate)
{
	if (!thread)
		return 0;
	for (__u32 i = 0; i < SYSFSM_HANDLERS; i++) {
		const struct sysfsm_delivery *by = sysfsm_delivery_at(thread, i);
		/* Where the handler's own frame is at the end of the stack that it has interrupted,
		 * pointers to that stack tell nothing. */
		__u64 stack = by->switches && by->from == by->stack ? 0 : by->from;

		if (i >= thread->below)
			break;
		if (alternate == stack && pointer >= by->pointer) {
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
	if (!thread->below || thread->top.last != SYSFSM_NO_SYMBOL || newest->forgotten ||
	    newest->pointer != now->pointer || newest->from != now->from)
		return false;
	thread->below--;
	thread->head--;
	thread->top = thread->saved[slot & SYSFSM_RING];
	return true;
}

/*
 * An adopted thread makes no more returns from older handlers if the frame in use has made a call.
 * To be called before another frame is in use: the one that made the call may be dropped.
 */
static __always_inline void sysfsm_look_for_a_call(struct sysfsm_thread *thread)
{
	if (thread->top.last != SYSFSM_NO_SYMBOL && thread->older_returns == SYSFSM_UNTIL_A_CALL)
		thread->older_returns = 0;
}

/* A handler begins, in a frame of its own. Past the limit the outermost handler counts as over. */
static __always_inline void sysfsm_push(struct sysfsm_thread *thread, __u32 state,
					const struct sysfsm_delivery *by)
{
	struct sysfsm_counters *counts;

	sysfsm_look_for_a_call(thread);
	if (!by->setup_failed || !sysfsm_take_back(thread, by))
		sysfsm_unwind(thread, by->pointer, by->from);
	/* The kernel writes the frame to the end of the alternate stack, over those there. Others
	 * may run on another one: SS_AUTODISARM allows a handler to set that. */
	for (__u32 i = 0; by->switches && i < SYSFSM_HANDLERS; i++) {
		if (i < thread->below && sysfsm_delivery_at(thread, i)->stack == by->stack)
			sysfsm_drop_from(thread, i);
	}
	thread->saved[thread->head & SYSFSM_RING] = thread->top;
	thread->deliveries[thread->head & SYSFSM_RING] = *by;
	thread->head++;
	if (thread->below < SYSFSM_HANDLERS) {
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
	sysfsm_look_for_a_call(thread);
	if (thread->below) {
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
	sysfsm_frame_init(&thread->top, unknown, SYSFSM_NO_SYMBOL);
	return true;
}

/* Whether a stack pointer is on a stack (__on_sig_stack, include/linux/sched/signal.h). */
static __always_inline bool sysfsm_on_stack(__u64 pointer, __u64 end, __u64 size)
{
	return end - pointer < size;
}

/*
 * The newest active handler that runs on an alternate stack which a stack pointer is on: its slot
 * and one; 0: there is none. Not static: the verifier looks at a global function once a program.
 */
__noinline int sysfsm_handler_there(struct sysfsm_thread *thread, __u64 pointer)
{
	if (!thread)
		return 0;
	for (__u32 i = 1; i <= SYSFSM_HANDLERS; i++) {
		__u32 slot = (thread->head - i) & SYSFSM_RING;
		const struct sysfsm_delivery *by = &thread->deliveries[slot];

		if (i > thread->below)
			break;
		if (by->stack && sysfsm_on_stack(pointer, by->stack, by->size))
			return slot + 1;
	}
	return 0;
}

/*
 * The end of the alternate signal stack that a stack pointer is on, and its size; 0: it is on none.
 * SS_AUTODISARM takes the stack from the task while a handler runs there.
 */
static __always_inline __u64 sysfsm_alternate(struct task_struct *task,
					      struct sysfsm_thread *thread, __u64 pointer,
					      __u64 *size)
{
	__u64 end = task->sas_ss_sp + task->sas_ss_size;
	const struct sysfsm_delivery *there;
	__u32 slot;

	*size = task->sas_ss_size;
	if (sysfsm_on_stack(pointer, end, *size))
		return end;
	slot = sysfsm_handler_there(thread, pointer);
	if (!slot)
		return 0;
	there = &thread->deliveries[(slot - 1) & SYSFSM_RING];
	*size = there->size;
	return there->stack;
}

/* Drops the frames of handlers that the stack has been unwound past when the thread makes a call.
 */
static __always_inline void sysfsm_unwind_to(struct task_struct *task, struct sysfsm_thread *thread,
					     __u64 pointer)
{
	__u64 size;

	sysfsm_unwind(thread, pointer, sysfsm_alternate(task, thread, pointer, &size));
}

/* Whether a violation is only reported. */
static __always_inline bool sysfsm_only_logs(__u32 action)
{
	return action == SYSFSM_LOG || action == SYSFSM_COMPLAIN;
}

#endif /* SYSFSM_FRAMES_H */
