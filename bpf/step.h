/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The step. src/machine/judge.rs is its specification; tests/equality/judging.rs drives both with the same
 * events.
 */
#ifndef SYSFSM_STEP_H
#define SYSFSM_STEP_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "frames.h"
#include "history.h"
#include "maps.h"
#include "sysfsm.h"

/* The verdict on a call that has to be judged again. */
#define SYSFSM_MOVED (-1)
/* So often may a policy be replaced during one call of a thread. */
#define SYSFSM_MOVES 4

/* A thread after a successful exec, or, adopted, one whose past is unknown. */
static __always_inline void sysfsm_bind(struct sysfsm_thread *thread, __u32 index,
					const struct sysfsm_policy *policy, bool adopted)
{
	thread->action = policy->action;
	if (adopted)
		sysfsm_frames_unknown(thread, policy->lost);
	else
		sysfsm_frames_exec(thread, policy->exec);
	/* From here on it is watched, and an adopted one may be in a call just now. */
	barrier();
	thread->policy = index;
}

/* The next state by the row of state, 0 if the row has no such call. */
static __always_inline __u32 sysfsm_edge(__u32 state, __u32 nr)
{
	struct sysfsm_far far = { .state = state, .nr = nr };
	const struct sysfsm_cell *cell;
	const __u32 *next;
	__u32 index;

	if (nr < SYSFSM_CALLS) {
		index = state + nr;
		cell = bpf_map_lookup_elem(&cells, &index);
		return cell && cell->owner == state ? cell->next : 0;
	}
	next = bpf_map_lookup_elem(&far_cells, &far);
	return next ? *next : 0;
}

/*
 * Puts the thread where (what it was seen to call · nr) leads: the longest suffix that is a context
 * of the machine, or lost. If `whole` is set, that is the whole context of a thread whose machine
 * is to learn: then no suffix will do, it is outside.
 */
__noinline int sysfsm_resync(struct sysfsm_thread *thread, const struct sysfsm_policy *policy,
			     const struct sysfsm_history *seen, __u32 nr, bool whole)
{
	struct sysfsm_context key = {};
	const __u32 *state;
	__u32 single;

	if (!thread || !policy || !seen)
		return 0;
	key.policy = thread->policy;
	thread->top.last = nr;
	thread->top.outside = 0;
	if (policy->depth <= 1) {
		thread->top.state = policy->lost;
		return 0;
	}
	if (policy->depth > 2)
		key.history = *seen;
	sysfsm_then(&key.history, nr, policy->depth - 1);
	thread->top.seen = key.history;
	thread->top.state = policy->lost;
	/* What fills the window is the whole context, whatever came before. No machine can have an
	 * rt_sigreturn that returns from nothing. */
	if (thread->action == SYSFSM_LEARN && nr != SYSFSM_NR_RT_SIGRETURN &&
	    key.history.len == policy->depth - 1)
		whole = true;
	for (int i = 0; i < SYSFSM_HISTORY - 2; i++) {
		if (key.history.len < 2)
			break;
		state = bpf_map_lookup_elem(&contexts, &key);
		if (state) {
			thread->top.state = *state;
			return 0;
		}
		if (whole)
			break;
		sysfsm_shift(&key.history);
	}
	single = key.history.len > 1 ? 0 : sysfsm_edge(policy->singles, nr);
	if (single)
		thread->top.state = single;
	else
		thread->top.outside = whole;
	return 0;
}

/* A frame of a policy that has a successor goes on in a state of that one. */
__noinline int sysfsm_move_frame(struct sysfsm_frame *frame, const struct sysfsm_policy *to,
				 __u32 successor, __u32 lost)
{
	struct sysfsm_departure key = { .policy = successor };
	const struct sysfsm_arrival *arrival;

	if (!frame || !to)
		return 0;
	key.state = frame->state;
	arrival = frame->state == lost ? NULL : bpf_map_lookup_elem(&arrivals, &key);
	if (arrival) {
		frame->state = arrival->state;
		frame->seen = arrival->seen;
		return 0;
	}
	frame->state = to->lost;
	if (key.state != lost || to->depth <= 1)
		__builtin_memset(&frame->seen, 0, sizeof(frame->seen));
	for (int i = 0; i < SYSFSM_HISTORY && frame->seen.len >= to->depth; i++)
		sysfsm_shift(&frame->seen);
	return 0;
}

/*
 * The thread goes on under the policy that has taken the place of its own. Only the thread itself
 * does this, in a call of its own, so that nobody else changes its state meanwhile.
 */
static __noinline int sysfsm_move(struct sysfsm_thread *thread, const struct sysfsm_policy *from,
				  __u32 successor)
{
	const struct sysfsm_policy *to = bpf_map_lookup_elem(&policies, &successor);
	__u32 lost = from->lost;
	__u32 slot = thread->head;

	/* Also SYSFSM_NOBODY. */
	if (!to) {
		thread->policy = 0;
		return 0;
	}
	sysfsm_move_frame(&thread->top, to, successor, lost);
	for (__u32 i = 0; i < SYSFSM_FRAMES && i < thread->below; i++) {
		slot--;
		sysfsm_move_frame(&thread->saved[slot & SYSFSM_RING], to, successor, lost);
	}
	thread->action = to->action;
	thread->policy = successor;
	return 0;
}

/* The policy that a thread is under by now, NULL if it is not watched any more. */
static __always_inline const struct sysfsm_policy *sysfsm_policy_now(struct sysfsm_thread *thread)
{
	const struct sysfsm_policy *policy = NULL;
	__u32 index;

	for (int i = 0; i < SYSFSM_MOVES; i++) {
		index = thread->policy;
		policy = bpf_map_lookup_elem(&policies, &index);
		if (!policy || !policy->successor)
			break;
		sysfsm_move(thread, policy, policy->successor);
	}
	return thread->policy ? policy : NULL;
}

/* A handler begins. */
static __always_inline void sysfsm_signal(struct sysfsm_thread *thread, __u32 signal)
{
	const struct sysfsm_policy *policy = sysfsm_policy_now(thread);

	/* In one register from here on: Linux 6.1 does not know the bound of a copy on the stack.
	 */
	barrier_var(signal);
	if (policy && signal < SYSFSM_SIGNALS)
		sysfsm_push(thread, policy->signals[signal]);
}

/*
 * What the state's own row does not answer; SYSFSM_MOVED: ask again, the thread is under another
 * policy now. Not static, as sysfsm_resync is not: the verifier takes
 * a global function by itself, once a program, and not again on each way to it.
 */
__noinline int sysfsm_call_slow(struct sysfsm_thread *thread, __u32 nr)
{
	const struct sysfsm_history *seen;
	struct sysfsm_history none = {};
	const struct sysfsm_policy *policy;
	int verdict = SYSFSM_TRANSITION;
	__u32 state;
	__u32 index;
	bool whole;
	__u32 next;

	/* Never: but it cannot know who calls. */
	if (!thread)
		return SYSFSM_TRANSITION;
	state = thread->top.state;
	index = thread->policy;
	if (nr == SYSFSM_NR_RESTART_SYSCALL || nr == SYSFSM_NR_EXIT || nr == SYSFSM_NR_EXIT_GROUP)
		return SYSFSM_ALLOWED;
	policy = bpf_map_lookup_elem(&policies, &index);
	if (!policy)
		return SYSFSM_TRANSITION;
	if (policy->successor) {
		sysfsm_move(thread, policy, policy->successor);
		return SYSFSM_MOVED;
	}
	if (nr == SYSFSM_NR_RT_SIGRETURN) {
		if (sysfsm_pop(thread, policy->lost))
			return SYSFSM_ALLOWED;
		verdict = SYSFSM_SIGRETURN;
	} else if (state == policy->lost && policy->depth > 1) {
		if (!thread->top.outside && sysfsm_edge(policy->members, nr))
			verdict = SYSFSM_ALLOWED;
	} else if (nr >= SYSFSM_CALLS) {
		next = sysfsm_edge(state, nr);
		if (next) {
			thread->top.state = next;
			thread->top.last = nr;
			return SYSFSM_ALLOWED;
		}
	}
	/* Rows are taken away when the successor is known: perhaps since this looked for one. */
	barrier();
	if (verdict != SYSFSM_ALLOWED && policy->successor) {
		sysfsm_move(thread, policy, policy->successor);
		return SYSFSM_MOVED;
	}
	if (verdict != SYSFSM_ALLOWED && !sysfsm_only_logs(thread->action))
		return verdict;
	/* The machine is to learn: a state's context is whole, and so is one that is outside. */
	whole = thread->action == SYSFSM_LEARN && verdict != SYSFSM_SIGRETURN &&
		(state != policy->lost || thread->top.outside);
	if (state == policy->lost)
		seen = &thread->top.seen;
	else
		seen = bpf_map_lookup_elem(&histories, &state);
	sysfsm_resync(thread, policy, seen ? seen : &none, nr, whole);
	/* A stray rt_sigreturn is one each time. */
	if (verdict == SYSFSM_SIGRETURN)
		thread->top.last = SYSFSM_NONE;
	return verdict;
}

/*
 * Judges a call of the 64-bit ABI that the state's own row allows, which takes one cell, or that
 * repeats the last symbol, which is no step; false of all others, which it leaves as they are.
 */
static __always_inline bool sysfsm_quick(struct sysfsm_thread *thread, __u32 nr)
{
	__u32 state = thread->top.state;
	const struct sysfsm_cell *cell;
	__u32 index = state + nr;

	if (nr == thread->top.last)
		return true;
	if (nr >= SYSFSM_CALLS)
		return false;
	cell = bpf_map_lookup_elem(&cells, &index);
	if (!cell || cell->owner != state)
		return false;
	thread->top.state = cell->next;
	thread->top.last = nr;
	return true;
}

/*
 * One call of the 64-bit ABI. rt_sigreturn, the exits and restart_syscall have no cells. Also
 * tells the state in which it is judged.
 */
static __always_inline int sysfsm_call(struct sysfsm_thread *thread, __u32 nr, __u32 *state)
{
	int verdict = SYSFSM_MOVED;

	for (int i = 0; i < SYSFSM_MOVES && verdict == SYSFSM_MOVED; i++) {
		*state = thread->top.state;
		/* It may have moved out of all policies. */
		if (!thread->policy || sysfsm_quick(thread, nr))
			return SYSFSM_ALLOWED;
		verdict = sysfsm_call_slow(thread, nr);
	}
	return verdict == SYSFSM_MOVED ? SYSFSM_TRANSITION : verdict;
}

/* One call through a foreign ABI: always a violation, and no context can hold it. */
static __always_inline int sysfsm_foreign(struct sysfsm_thread *thread, __u32 *state)
{
	const struct sysfsm_policy *policy = sysfsm_policy_now(thread);

	*state = thread->top.state;
	if (!thread->policy)
		return SYSFSM_ALLOWED;
	if (policy && sysfsm_only_logs(thread->action))
		sysfsm_frame_init(&thread->top, policy->lost, SYSFSM_NONE);
	return SYSFSM_ABI;
}

#endif /* SYSFSM_STEP_H */
