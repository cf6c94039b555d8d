/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The step (docs/semantics.md). src/machine/judge.rs does the same in Rust; tests/equality drives
 * both with the same events.
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
#define SYSFSM_JUDGE_AGAIN (-1)
/* How often a policy may be replaced during one call of a thread. */
#define SYSFSM_MAX_MIGRATIONS 4

/* Binds a thread to a policy: after an exec (rule 1), or adopted, its past unknown (rule 8). */
static __always_inline void sysfsm_bind(struct sysfsm_thread *thread, __u32 index,
					const struct sysfsm_policy *policy, bool adopted)
{
	thread->action = policy->action;
	if (adopted)
		sysfsm_frames_unknown(thread, policy->lost, SYSFSM_UNTIL_A_CALL);
	else
		sysfsm_frames_exec(thread, policy->exec);
	/* From here on the thread is watched: an adopted one may be in a call at this moment. */
	barrier();
	thread->policy = index;
}

/* The next state by the row of a state; 0: the row has no such call. */
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
 * The state after a violation that is only reported (semantics, rule 7): that of (context · nr), if
 * all of it is known and the machine has it; else the one of the longest end that some context of
 * the machine ends in. `complain`: a whole context that the machine lacks is unmodelled.
 */
__noinline int sysfsm_follow_violation(struct sysfsm_thread *thread,
				       const struct sysfsm_policy *policy, __u32 nr, __u32 complain)
{
	const struct sysfsm_context *before;
	struct sysfsm_context key = { .partial = 1 };
	__u32 keep;
	__u32 state;
	__u32 *found;

	if (!thread || !policy)
		return 0;
	state = thread->top.state;
	keep = policy->depth - 1;
	if (thread->top.unmodelled) {
		key.partial = 0;
		key.history = thread->top.history;
	} else {
		/* Where a whole context is one symbol, the one before does not matter. */
		before = keep > 1 ? bpf_map_lookup_elem(&histories, &state) : NULL;
		if (before)
			key = *before;
	}
	key.policy = thread->policy;
	thread->top.last = nr;
	thread->top.unmodelled = 0;
	thread->top.state = policy->lost;
	if (policy->depth <= 1)
		return 0;
	sysfsm_history_push(&key.history, nr, keep);
	if (!key.partial || key.history.len == keep) {
		key.partial = 0;
		found = bpf_map_lookup_elem(&contexts, &key);
		if (found) {
			thread->top.state = *found;
			return 0;
		}
		if (complain) {
			thread->top.state = SYSFSM_NO_STATE;
			thread->top.unmodelled = 1;
			thread->top.history = key.history;
			return 0;
		}
	}
	key.partial = 1;
	if (key.history.len == keep)
		sysfsm_history_shift(&key.history);
	for (int i = 0; i < SYSFSM_HISTORY - 2; i++) {
		if (!key.history.len)
			break;
		found = bpf_map_lookup_elem(&contexts, &key);
		if (found) {
			thread->top.state = *found;
			break;
		}
		sysfsm_history_shift(&key.history);
	}
	return 0;
}

/* A frame of a replaced policy goes on in a state of the replacement. */
__noinline int sysfsm_migrate_frame(struct sysfsm_frame *frame, const struct sysfsm_policy *to,
				    __u32 replacement)
{
	struct sysfsm_migration_key key = { .policy = replacement };
	const __u32 *target;

	if (!frame || !to)
		return 0;
	key.state = frame->state;
	target = bpf_map_lookup_elem(&migrations, &key);
	frame->state = target ? *target : to->lost;
	frame->unmodelled = 0;
	return 0;
}

/*
 * The thread migrates to the replacement of its policy. Only the thread itself does this, in a call
 * of its own: nothing else changes its state meanwhile.
 */
static __noinline int sysfsm_migrate(struct sysfsm_thread *thread, __u32 replacement)
{
	const struct sysfsm_policy *to = bpf_map_lookup_elem(&policies, &replacement);
	__u32 slot = thread->head;

	/* Also SYSFSM_NO_REPLACEMENT. */
	if (!to) {
		thread->policy = 0;
		thread->slow_from = 0;
		return 0;
	}
	sysfsm_migrate_frame(&thread->top, to, replacement);
	for (__u32 i = 0; i < SYSFSM_HANDLERS && i < thread->below; i++) {
		slot--;
		sysfsm_migrate_frame(&thread->saved[slot & SYSFSM_RING], to, replacement);
	}
	thread->action = to->action;
	thread->policy = replacement;
	return 0;
}

/* The policy of a thread, after it has migrated; NULL: the thread is not watched any more. */
static __always_inline const struct sysfsm_policy *sysfsm_policy_now(struct sysfsm_thread *thread)
{
	const struct sysfsm_policy *policy = NULL;
	__u32 index;

	for (int i = 0; i < SYSFSM_MAX_MIGRATIONS; i++) {
		index = thread->policy;
		policy = bpf_map_lookup_elem(&policies, &index);
		if (!policy || !policy->replacement)
			break;
		sysfsm_migrate(thread, policy->replacement);
	}
	return thread->policy ? policy : NULL;
}

/* A handler begins. */
static __always_inline void sysfsm_signal(struct sysfsm_thread *thread, __u32 signal,
					  const struct sysfsm_delivery *by)
{
	const struct sysfsm_policy *policy = sysfsm_policy_now(thread);

	/* One register from here on: Linux 6.1 does not know the bound of a copy on the stack. */
	barrier_var(signal);
	if (policy && signal < SYSFSM_SIGNALS)
		sysfsm_push(thread, policy->signals[signal], by);
}

/*
 * Judges a call that the state's own row does not answer. SYSFSM_JUDGE_AGAIN: the thread has
 * migrated to another policy. Not static, as sysfsm_follow_violation is not: the verifier looks at
 * a global function once a program, and not again on each way to it.
 */
__noinline int sysfsm_call_slow(struct sysfsm_thread *thread, __u32 nr)
{
	const struct sysfsm_policy *policy;
	int verdict = SYSFSM_TRANSITION;
	__u32 state;
	__u32 index;
	__u32 next;

	/* Never so, but the verifier does not know the callers of a global function. */
	if (!thread)
		return SYSFSM_TRANSITION;
	state = thread->top.state;
	index = thread->policy;
	if (sysfsm_is_kernels(nr) || nr == SYSFSM_NR_EXIT || nr == SYSFSM_NR_EXIT_GROUP)
		return SYSFSM_ALLOWED;
	policy = bpf_map_lookup_elem(&policies, &index);
	if (!policy)
		return SYSFSM_TRANSITION;
	if (policy->replacement) {
		sysfsm_migrate(thread, policy->replacement);
		return SYSFSM_JUDGE_AGAIN;
	}
	if (nr == SYSFSM_NR_RT_SIGRETURN) {
		if (sysfsm_pop(thread, policy->lost))
			return SYSFSM_ALLOWED;
		verdict = SYSFSM_SIGRETURN;
	} else if (nr >= SYSFSM_CALLS) {
		next = sysfsm_edge(state, nr);
		if (next) {
			thread->top.state = next;
			thread->top.last = nr;
			return SYSFSM_ALLOWED;
		}
	}
	/* The rows of a policy go once its replacement is set: perhaps since the lookup above. */
	barrier();
	if (policy->replacement) {
		sysfsm_migrate(thread, policy->replacement);
		return SYSFSM_JUDGE_AGAIN;
	}
	if (!sysfsm_only_logs(thread->action))
		return verdict;
	sysfsm_follow_violation(thread, policy, nr,
				thread->action == SYSFSM_COMPLAIN && verdict != SYSFSM_SIGRETURN);
	/* A stray rt_sigreturn is a violation each time. */
	if (verdict == SYSFSM_SIGRETURN) {
		thread->top.last = SYSFSM_NO_SYMBOL;
		thread->older_returns = 0;
	}
	return verdict;
}

/*
 * Judges a call of the 64-bit ABI if that takes one cell: the state's own row allows the call, or
 * the call repeats the last symbol, which is no step (semantics, rule 4). False: nothing was done.
 */
static __always_inline bool sysfsm_call_fast(struct sysfsm_thread *thread, __u32 nr)
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
 * Judges a call of the 64-bit ABI. `state` becomes the state in which it is judged. rt_sigreturn,
 * the exits and the kernel's own calls have no cells.
 */
static __always_inline int sysfsm_call(struct sysfsm_thread *thread, __u32 nr, __u32 *state)
{
	int verdict = SYSFSM_JUDGE_AGAIN;

	for (int i = 0; i < SYSFSM_MAX_MIGRATIONS && verdict == SYSFSM_JUDGE_AGAIN; i++) {
		*state = thread->top.state;
		/* The thread may have migrated out of all policies. */
		if (!thread->policy || sysfsm_call_fast(thread, nr))
			return SYSFSM_ALLOWED;
		verdict = sysfsm_call_slow(thread, nr);
	}
	return verdict == SYSFSM_JUDGE_AGAIN ? SYSFSM_TRANSITION : verdict;
}

/* Judges a call through a foreign ABI: always a violation, and no symbol (semantics, rule 6). */
static __always_inline int sysfsm_foreign(struct sysfsm_thread *thread, __u32 *state)
{
	const struct sysfsm_policy *policy = sysfsm_policy_now(thread);

	*state = thread->top.state;
	if (!thread->policy)
		return SYSFSM_ALLOWED;
	if (policy && sysfsm_only_logs(thread->action))
		sysfsm_frame_forget(thread, policy->lost);
	return SYSFSM_ABI;
}

#endif /* SYSFSM_STEP_H */
