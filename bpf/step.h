/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The step. src/machine/judge.rs is its specification; tests/equality.rs drives both with the same
 * events.
 */
#ifndef SYSFSM_STEP_H
#define SYSFSM_STEP_H

#define SYSFSM_NR_RT_SIGRETURN 15
#define SYSFSM_NR_EXECVE 59
#define SYSFSM_NR_EXIT 60
#define SYSFSM_NR_RESTART_SYSCALL 219
#define SYSFSM_NR_EXIT_GROUP 231

#define SYSFSM_RING (SYSFSM_FRAMES - 1)

/* Atomic: a veto can be preempted, so that even a counter of this CPU has two writers. */
#define SYSFSM_COUNT(counter) __sync_fetch_and_add(&(counter), 1)

static __always_inline struct sysfsm_counters *sysfsm_counters(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&counters, &zero);
}

static __always_inline void sysfsm_frame_init(struct sysfsm_frame *frame, __u32 state, __u32 last)
{
	frame->state = state;
	frame->last = last;
	frame->outside = 0;
	__builtin_memset(&frame->seen, 0, sizeof(frame->seen));
}

/* Whether a violation is only reported. */
static __always_inline bool sysfsm_only_logs(__u32 action)
{
	return action == SYSFSM_LOG || action == SYSFSM_LEARN;
}

/* A thread after a successful exec, or, adopted, one whose past is unknown. */
static __always_inline void sysfsm_bind(struct sysfsm_thread *thread, __u32 index,
					const struct sysfsm_policy *policy, bool adopted)
{
	thread->policy = index;
	thread->action = policy->action;
	thread->head = 0;
	thread->below = 0;
	thread->unknown_returns = adopted ? SYSFSM_FRAMES - 1 : 0;
	sysfsm_frame_init(&thread->top, adopted ? policy->lost : policy->exec,
			  adopted ? SYSFSM_NONE : SYSFSM_NR_EXECVE);
}

/* A handler begins. Past the limit the ring overwrites the oldest frame. */
static __always_inline void sysfsm_signal(struct sysfsm_thread *thread, __u32 signal)
{
	const struct sysfsm_policy *policy;
	struct sysfsm_counters *counts;
	__u32 index = thread->policy;

	policy = bpf_map_lookup_elem(&policies, &index);
	if (!policy || signal >= SYSFSM_SIGNALS)
		return;
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
	sysfsm_frame_init(&thread->top, policy->signals[signal], SYSFSM_NONE);
}

/* A handler ends: false if none is active. */
static __always_inline bool sysfsm_return(struct sysfsm_thread *thread,
					  const struct sysfsm_policy *policy)
{
	if (thread->below) {
		thread->below--;
		thread->head--;
		thread->top = thread->saved[thread->head & SYSFSM_RING];
		return true;
	}
	if (thread->unknown_returns) {
		thread->unknown_returns--;
		sysfsm_frame_init(&thread->top, policy->lost, SYSFSM_NONE);
		return true;
	}
	return false;
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

/* Drops the oldest symbol. */
static __always_inline void sysfsm_shift(struct sysfsm_history *seen)
{
	for (int i = 0; i < SYSFSM_HISTORY - 1; i++)
		seen->symbols[i] = seen->symbols[i + 1];
	seen->symbols[SYSFSM_HISTORY - 1] = 0;
	seen->len--;
}

/*
 * Puts the thread where (what it was seen to call · nr) leads: the longest suffix that is a context
 * of the machine, or lost. If `whole` is set, that is the whole context of a thread whose machine
 * is to learn: then no suffix will do, it is outside.
 */
static __noinline int sysfsm_resync(struct sysfsm_thread *thread,
				    const struct sysfsm_policy *policy,
				    const struct sysfsm_history *seen, __u32 nr, bool whole)
{
	struct sysfsm_context key = { .policy = thread->policy };
	const __u32 *state;
	__u32 single;

	thread->top.last = nr;
	thread->top.outside = 0;
	if (policy->depth <= 1) {
		thread->top.state = policy->lost;
		return 0;
	}
	if (policy->depth > 2)
		key.history = *seen;
	if (key.history.len >= policy->depth - 1)
		sysfsm_shift(&key.history);
	key.history.symbols[key.history.len & (SYSFSM_HISTORY - 1)] = nr;
	key.history.len++;
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

/* What the state's own row does not answer. */
static __noinline int sysfsm_call_slow(struct sysfsm_thread *thread, __u32 nr)
{
	const struct sysfsm_history *seen;
	struct sysfsm_history none = {};
	const struct sysfsm_policy *policy;
	__u32 state = thread->top.state;
	__u32 index = thread->policy;
	int verdict = SYSFSM_TRANSITION;
	bool whole;
	__u32 next;

	if (nr == SYSFSM_NR_RESTART_SYSCALL || nr == SYSFSM_NR_EXIT || nr == SYSFSM_NR_EXIT_GROUP)
		return SYSFSM_ALLOWED;
	policy = bpf_map_lookup_elem(&policies, &index);
	if (!policy)
		return SYSFSM_TRANSITION;
	if (nr == SYSFSM_NR_RT_SIGRETURN) {
		if (sysfsm_return(thread, policy))
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
 * One call of the 64-bit ABI. A repetition of the last symbol is no step, and a call that the
 * state's row has costs one cell; rt_sigreturn, the exits and restart_syscall have no cells.
 */
static __always_inline int sysfsm_call(struct sysfsm_thread *thread, __u32 nr)
{
	__u32 state = thread->top.state;
	const struct sysfsm_cell *cell;
	__u32 index = state + nr;

	if (nr == thread->top.last)
		return SYSFSM_ALLOWED;
	if (nr < SYSFSM_CALLS) {
		cell = bpf_map_lookup_elem(&cells, &index);
		if (cell && cell->owner == state) {
			thread->top.state = cell->next;
			thread->top.last = nr;
			return SYSFSM_ALLOWED;
		}
	}
	return sysfsm_call_slow(thread, nr);
}

/* One call through a foreign ABI: always a violation, and no context can hold it. */
static __always_inline int sysfsm_foreign(struct sysfsm_thread *thread)
{
	const struct sysfsm_policy *policy;
	__u32 index = thread->policy;

	if (sysfsm_only_logs(thread->action)) {
		policy = bpf_map_lookup_elem(&policies, &index);
		if (policy)
			sysfsm_frame_init(&thread->top, policy->lost, SYSFSM_NONE);
	}
	return SYSFSM_ABI;
}

#endif /* SYSFSM_STEP_H */
