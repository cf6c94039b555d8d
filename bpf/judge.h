/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* A call is judged: a violation becomes an event, and a sentence. */
#ifndef SYSFSM_JUDGE_H
#define SYSFSM_JUDGE_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "abi.h"
#include "counters.h"
#include "event.h"
#include "frames.h"
#include "kernel.h"
#include "sight.h"
#include "step.h"
#include "sysfsm.h"
#include "tally.h"
#include "threads.h"

/* How surely the choke points in place refuse a call, by number. Read where one is denied. */
__u8 refusable[SYSFSM_CALLS] = {}; /* enum sysfsm_refusable */

/* How surely a call is refused. Of foreign calls nothing tells which choke points they come to. */
static __always_inline __u8 sysfsm_refusable(const struct sysfsm_violation *violation)
{
	if (violation->abi != SYSFSM_X86_64)
		return SYSFSM_PARTLY;
	/* The kernel has no such call, and says so. */
	if (violation->nr >= SYSFSM_CALLS)
		return SYSFSM_SURELY;
	return refusable[violation->nr];
}

/* The sentence for a violation. A call that nothing refuses is not denied: its process is killed.
 */
static __always_inline __u8 sysfsm_sentence(const struct sysfsm_thread *thread,
					    const struct sysfsm_violation *violation)
{
	if (sysfsm_only_logs(thread->action))
		return SYSFSM_FREE;
	if (thread->action == SYSFSM_KILL)
		return SYSFSM_CONDEMNED;
	switch (sysfsm_refusable(violation)) {
	case SYSFSM_SURELY:
		return SYSFSM_DENIED;
	case SYSFSM_PARTLY:
		return SYSFSM_UNMET;
	default:
		return SYSFSM_CONDEMNED;
	}
}

/* What an event says of a sentence. */
static __always_inline __u8 sysfsm_action(__u8 sentence)
{
	switch (sentence) {
	case SYSFSM_FREE:
		return SYSFSM_LOG;
	case SYSFSM_CONDEMNED:
		return SYSFSM_KILL;
	default:
		return SYSFSM_DENY;
	}
}

/*
 * A process is condemned as a whole: its first thread's state says so for io_uring's workers, which
 * do what was asked for in a call that may be over.
 */
static __always_inline int sysfsm_condemn(struct sysfsm_thread *thread)
{
	struct task_struct *leader = bpf_get_current_task_btf()->group_leader;
	struct sysfsm_thread *first = NULL;

	thread->sentence = SYSFSM_CONDEMNED;
	if (leader)
		first = sysfsm_thread(leader);
	if (first)
		first->sentence = SYSFSM_CONDEMNED;
	/* Fails for the machine's first process, and in an exiting one. */
	return bpf_send_signal(SYSFSM_SIGKILL);
}

static __noinline int sysfsm_report(struct sysfsm_thread *thread, struct pt_regs *regs,
				    const struct sysfsm_violation *violation)
{
	struct sysfsm_kind_of_violation kind = {
		.policy = thread->policy,
		.state = violation->state,
		.nr = violation->nr,
		.verdict = violation->verdict,
		.abi = violation->abi,
	};
	struct sysfsm_counters *counts = sysfsm_counters();
	__u8 sentence = sysfsm_sentence(thread, violation);
	__u8 action = sysfsm_action(sentence);
	struct sysfsm_tally *tally;
	struct sysfsm_event *event;
	__u8 kill_failed = 0;

	/* First of all: nothing that follows may fail before it. */
	thread->sentence = sentence;
	if (sentence == SYSFSM_CONDEMNED)
		kill_failed = sysfsm_condemn(thread) != 0;
	if (!counts)
		return 0;
	SYSFSM_COUNT(counts->violations);
	if (action == SYSFSM_DENY)
		SYSFSM_COUNT(counts->denials);
	else if (action == SYSFSM_KILL && kill_failed)
		SYSFSM_COUNT(counts->kills_failed);
	else if (action == SYSFSM_KILL)
		SYSFSM_COUNT(counts->kills);
	if (learning && thread->action == SYSFSM_LEARN) {
		if (sysfsm_sight(thread, regs, violation))
			SYSFSM_COUNT(counts->events_lost);
		return 0;
	}
	kind.action = action;
	tally = sysfsm_tally(&kind);
	if (!tally)
		SYSFSM_COUNT(counts->untallied);
	else if (!sysfsm_in_full(tally))
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		SYSFSM_COUNT(counts->events_lost);
		return 0;
	}
	sysfsm_describe(event, thread, regs, violation);
	event->action = action;
	event->kill_failed = kill_failed;
	bpf_ringbuf_submit(event, 0);
	if (tally)
		SYSFSM_COUNT(tally->told);
	return 0;
}

/*
 * A thread begins a call under a sentence: a denial is over, one that no choke point has carried
 * out is a kill, and the child of a condemned thread dies.
 */
static __noinline int sysfsm_serve(struct sysfsm_thread *thread)
{
	struct sysfsm_counters *counts;

	if (thread->sentence == SYSFSM_DENIED) {
		thread->sentence = SYSFSM_FREE;
		return 0;
	}
	counts = sysfsm_counters();
	if (thread->sentence == SYSFSM_UNMET && counts)
		SYSFSM_COUNT(counts->kills);
	return sysfsm_condemn(thread);
}

/* A call as `entered` keeps it: with its ABI. */
static __always_inline __u32 sysfsm_entered(struct task_struct *task, __u32 nr)
{
	return task->thread_info.status & SYSFSM_TS_COMPAT ? nr | SYSFSM_SIGN_BIT : nr;
}

/* The same of the call that a thread is in. */
static __always_inline __u32 sysfsm_entered_now(struct task_struct *task)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);

	return sysfsm_entered(task, regs->orig_ax);
}

/* What a call is but for the two things that most of them are (sysfsm_judge). */
static __noinline int sysfsm_judge_slow(struct task_struct *task, struct sysfsm_thread *thread,
					struct pt_regs *regs, __u32 nr)
{
	struct sysfsm_violation violation = { .nr = nr, .abi = sysfsm_abi(task, nr) };

	if (thread->sentence)
		sysfsm_serve(thread);
	if (learning)
		sysfsm_remember(thread);
	if (violation.abi == SYSFSM_X86_64)
		violation.verdict = sysfsm_call(thread, nr, &violation.state);
	else
		violation.verdict = sysfsm_foreign(thread, &violation.state);
	if (violation.verdict != SYSFSM_ALLOWED)
		sysfsm_report(thread, regs, &violation);
	return 0;
}

/*
 * A thread makes a call. Nearly all calls repeat the last one, or go along a transition of the
 * state's: they need no more than what sysfsm_quick() reads. Where it is not sure that every call
 * is seen, the thread keeps which one was.
 */
static __always_inline int sysfsm_judge(struct task_struct *task, struct sysfsm_thread *thread,
					struct pt_regs *regs, __u32 nr, bool sure)
{
	struct sysfsm_counters *counts = sysfsm_counters();

	if (!sure)
		thread->entered = sysfsm_entered(task, nr);
	/* Whoever comes here keeps the CPU. */
	if (counts)
		counts->judged++;
	if (!thread->sentence && !(task->thread_info.status & SYSFSM_TS_COMPAT) &&
	    sysfsm_quick(thread, nr))
		return 0;
	return sysfsm_judge_slow(task, thread, regs, nr);
}

#endif /* SYSFSM_JUDGE_H */
