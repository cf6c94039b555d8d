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

/* One frame, right after an exec. */
static __always_inline void sysfsm_frames_exec(struct sysfsm_thread *thread, __u32 state)
{
	thread->head = 0;
	thread->below = 0;
	thread->unknown_returns = 0;
	sysfsm_frame_init(&thread->top, state, SYSFSM_NR_EXECVE);
}

/* The frames of a thread whose past is not known: it may be inside handlers, as deep as frames
 * go. */
static __always_inline void sysfsm_frames_unknown(struct sysfsm_thread *thread, __u32 state)
{
	thread->head = 0;
	thread->below = 0;
	thread->unknown_returns = SYSFSM_FRAMES - 1;
	sysfsm_frame_init(&thread->top, state, SYSFSM_NO_SYMBOL);
}

/* A handler begins, in a frame of its own. Past the limit the ring overwrites the oldest frame. */
static __always_inline void sysfsm_push(struct sysfsm_thread *thread, __u32 state)
{
	struct sysfsm_counters *counts;

	thread->saved[thread->head & SYSFSM_RING] = thread->top;
	thread->head++;
	if (thread->below < SYSFSM_FRAMES - 1) {
		thread->below++;
	} else {
		thread->unknown_returns++;
		counts = sysfsm_counters();
		if (counts)
			SYSFSM_COUNT(counts->frames_dropped);
	}
	sysfsm_frame_init(&thread->top, state, SYSFSM_NO_SYMBOL);
}

/*
 * A handler ends: the interrupted frame goes on. If that frame is not known, its state is
 * `unknown`. False: no handler is active.
 */
static __always_inline bool sysfsm_pop(struct sysfsm_thread *thread, __u32 unknown)
{
	if (thread->below) {
		thread->below--;
		thread->head--;
		thread->top = thread->saved[thread->head & SYSFSM_RING];
		return true;
	}
	if (thread->unknown_returns) {
		thread->unknown_returns--;
		sysfsm_frame_init(&thread->top, unknown, SYSFSM_NO_SYMBOL);
		return true;
	}
	return false;
}

/* Whether a violation is only reported. */
static __always_inline bool sysfsm_only_logs(__u32 action)
{
	return action == SYSFSM_LOG || action == SYSFSM_COMPLAIN;
}

#endif /* SYSFSM_FRAMES_H */
