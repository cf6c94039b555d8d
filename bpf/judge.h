/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* A call is judged: a violation becomes an event, and an enforcement state of its thread. */
#ifndef SYSFSM_JUDGE_H
#define SYSFSM_JUDGE_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "abi.h"
#include "complain.h"
#include "counters.h"
#include "event.h"
#include "family.h"
#include "frames.h"
#include "kernel.h"
#include "step.h"
#include "sysfsm.h"
#include "threads.h"
#include "violation_counts.h"

/* By a call's number, what the enforcement points in place cover. Read when the call is denied. */
__u8 deny_coverage[SYSFSM_CALLS] = {}; /* enum sysfsm_deny_coverage */

static __always_inline __u8 sysfsm_deny_coverage(const struct sysfsm_violation_kind *kind)
{
	/* Which enforcement points a foreign call comes to is not known. */
	if (kind->abi != SYSFSM_X86_64)
		return SYSFSM_DENY_COVERAGE_PARTIAL;
	/* The kernel has no such call, and refuses it. */
	if (kind->nr >= SYSFSM_CALLS)
		return SYSFSM_DENY_COVERAGE_FULL;
	return deny_coverage[kind->nr];
}

/* What a violation brings its thread. A call that nothing refuses is no denial: it kills. */
static __always_inline __u8 sysfsm_enforcement_for(const struct sysfsm_thread *thread,
						   const struct sysfsm_violation_kind *kind)
{
	if (sysfsm_only_logs(thread->action))
		return SYSFSM_ENFORCE_NONE;
	if (thread->action == SYSFSM_KILL)
		return SYSFSM_ENFORCE_KILL;
	switch (sysfsm_deny_coverage(kind)) {
	case SYSFSM_DENY_COVERAGE_FULL:
		return SYSFSM_ENFORCE_DENY;
	case SYSFSM_DENY_COVERAGE_PARTIAL:
		return SYSFSM_ENFORCE_DENY_PENDING;
	default:
		return SYSFSM_ENFORCE_KILL;
	}
}

/* The action that an event reports for an enforcement state. */
static __always_inline __u8 sysfsm_action_of(__u8 enforcement)
{
	switch (enforcement) {
	case SYSFSM_ENFORCE_NONE:
		return SYSFSM_LOG;
	case SYSFSM_ENFORCE_KILL:
		return SYSFSM_KILL;
	default:
		return SYSFSM_DENY;
	}
}

/*
 * Kills the process. The state of its first thread says so too: io_uring's workers look there, as
 * they do what was asked for in a call that may be over.
 */
static __always_inline int sysfsm_kill_process(struct sysfsm_thread *thread)
{
	struct task_struct *task = bpf_get_current_task_btf();
	bool again = thread->enforcement == SYSFSM_ENFORCE_KILL;
	struct task_struct *leader = task->group_leader;
	struct sysfsm_thread *first = NULL;
	int failed;

	sysfsm_enforce(thread, SYSFSM_ENFORCE_KILL);
	if (leader)
		first = sysfsm_thread(leader);
	if (first)
		sysfsm_enforce(first, SYSFSM_ENFORCE_KILL);
	/* Fails for the machine's first process, and in an exiting one. */
	failed = bpf_send_signal(SYSFSM_SIGKILL);
	if (kill_families && !again)
		sysfsm_signal_family(task, SYSFSM_SIGKILL);
	return failed;
}

/* Enforces what follows from a violation, counts the violation and reports it. */
static __noinline int sysfsm_report(struct sysfsm_thread *thread, struct pt_regs *regs,
				    struct sysfsm_violation_kind *kind)
{
	struct sysfsm_counters *counts = sysfsm_counters();
	__u8 enforcement = sysfsm_enforcement_for(thread, kind);
	__u8 action = sysfsm_action_of(enforcement);
	struct sysfsm_violation_count *count;
	struct sysfsm_violation_kind counted;
	struct sysfsm_call_count *call;
	bool reported;
	bool wanted;
	struct sysfsm_event *event;
	__u8 kill_failed = 0;

	kind->policy = thread->policy;
	kind->action = action;
	kind->pad = 0;
	/* First of all: nothing that follows may fail before it. */
	if (enforcement == SYSFSM_ENFORCE_KILL)
		kill_failed = sysfsm_kill_process(thread) != 0;
	else
		sysfsm_enforce(thread, enforcement);
	if (!counts)
		return 0;
	SYSFSM_COUNT(counts->violations);
	if (action == SYSFSM_DENY)
		SYSFSM_COUNT(counts->denials);
	else if (action == SYSFSM_KILL && kill_failed)
		SYSFSM_COUNT(counts->kills_failed);
	else if (action == SYSFSM_KILL)
		SYSFSM_COUNT(counts->kills);
	call = sysfsm_call_count_of(kind);
	reported = !call || call->reported;
	if (complain && thread->action == SYSFSM_COMPLAIN) {
		if ((reported && !sysfsm_ring_below(7)) || sysfsm_complain(regs, kind))
			SYSFSM_COUNT(counts->events_lost);
		else if (call)
			call->reported = 1;
		return 0;
	}
	counted = *kind;
	counted.nr = sysfsm_counted_nr(kind->nr);
	count = sysfsm_count_of(&counted);
	if (count) {
		wanted = sysfsm_wants_event(count);
	} else {
		SYSFSM_COUNT(counts->unclassified);
		if (call)
			sysfsm_count_call(call, kind);
		wanted = sysfsm_ring_below(4);
	}
	if (!wanted && reported)
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		SYSFSM_COUNT(counts->events_lost);
		return 0;
	}
	sysfsm_describe(event, regs, kind);
	event->kill_failed = kill_failed;
	bpf_ringbuf_submit(event, 0);
	if (count)
		SYSFSM_COUNT(count->events);
	else if (call)
		SYSFSM_COUNT(call->events);
	if (call)
		call->reported = 1;
	return 0;
}

/*
 * A thread begins a call in an enforcement state of an earlier call. A denial is over; a denial
 * that no enforcement point has carried out is a kill; the child of a killed thread dies.
 */
static __noinline int sysfsm_settle_pending(struct sysfsm_thread *thread)
{
	struct sysfsm_counters *counts;

	if (thread->enforcement == SYSFSM_ENFORCE_DENY) {
		sysfsm_enforce(thread, SYSFSM_ENFORCE_NONE);
		return 0;
	}
	counts = sysfsm_counters();
	if (thread->enforcement == SYSFSM_ENFORCE_DENY_PENDING && counts)
		SYSFSM_COUNT(counts->kills);
	return sysfsm_kill_process(thread);
}

/* A call with its ABI, as the field `entered` of a thread keeps it. */
static __always_inline __u32 sysfsm_entered(struct task_struct *task, __u32 nr)
{
	return task->thread_info.status & SYSFSM_TS_COMPAT ? nr | SYSFSM_SIGN_BIT : nr;
}

/* The call that a thread is in, as the field `entered` keeps it. */
static __always_inline __u32 sysfsm_entered_now(struct task_struct *task)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);

	return sysfsm_entered(task, regs->orig_ax);
}

/* Not atomic: the programs that judge keep the CPU. */
static __always_inline void sysfsm_count_judged(void)
{
	struct sysfsm_counters *counts = sysfsm_counters();

	if (counts)
		counts->judged++;
}

/* Judges a call that is neither of the two things that sysfsm_judge() looks for. */
static __noinline int sysfsm_judge_slow(struct task_struct *task, struct sysfsm_thread *thread,
					struct pt_regs *regs, __u32 nr)
{
	/* The policy and the action are filled in once there is a violation: sysfsm_report(). */
	struct sysfsm_violation_kind kind;
	__u32 state;
	__u64 pointer = regs->sp;
	__u8 verdict;

	/* A tracer or a seccomp filter has the call skipped (syscall_trace_enter, kernel/entry):
	 * there is none. A thread that is let go has its state for a moment longer. */
	if (nr == SYSFSM_NO_CALL || !thread->policy)
		return 0;
	sysfsm_count_judged();
	kind.nr = nr;
	kind.abi = sysfsm_abi(task, nr);
	if (thread->enforcement)
		sysfsm_settle_pending(thread);
	if (pointer >= thread->slow_from)
		sysfsm_unwind_to(task, thread, pointer);
	if (complain)
		sysfsm_keep_unmodelled(thread);
	if (kind.abi == SYSFSM_X86_64)
		verdict = sysfsm_call(thread, nr, &state);
	else
		verdict = sysfsm_foreign(thread, &state);
	if (verdict == SYSFSM_ALLOWED)
		return 0;
	kind.state = state;
	kind.verdict = verdict;
	sysfsm_report(thread, regs, &kind);
	return 0;
}

/*
 * A thread makes a call. Nearly all calls repeat the last symbol, or follow a transition of the
 * thread's state: they need no more than what sysfsm_call_fast() reads. `slow_from` tells at once
 * that nothing is enforced on the thread, that it is watched, and that no handler is over. Where
 * calls can be missed the thread keeps which call was judged.
 */
static __always_inline int sysfsm_judge(struct task_struct *task, struct sysfsm_thread *thread,
					struct pt_regs *regs, __u32 nr, bool non_preemptible)
{
	if (!non_preemptible && nr != SYSFSM_NO_CALL)
		thread->entered = sysfsm_entered(task, nr);
	if (regs->sp < thread->slow_from && !(task->thread_info.status & SYSFSM_TS_COMPAT) &&
	    sysfsm_call_fast(thread, nr)) {
		sysfsm_count_judged();
		return 0;
	}
	return sysfsm_judge_slow(task, thread, regs, nr);
}

#endif /* SYSFSM_JUDGE_H */
