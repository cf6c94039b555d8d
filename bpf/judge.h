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

/* The first process of the machine. No BPF program can kill it (bpf_send_signal_common,
 * kernel/trace/bpf_trace.c). */
#define SYSFSM_FIRST_PROCESS 1

/* So many calls of a process may be denied within so many nanoseconds; 0: any number. */
const volatile __u32 denials_at_most = 0;
const volatile __u64 denials_within = 0;

/* What an exec looks like in the end, in the tables of the other ABIs. */
#define SYSFSM_NR_I386_EXECVE 11
#define SYSFSM_NR_X32_EXECVE 520

/* By a call's number, what the enforcement points in place cover. Read when the call is denied. */
__u8 deny_coverage[SYSFSM_CALLS] = {}; /* enum sysfsm_deny_coverage */

static __always_inline __u8 sysfsm_deny_coverage(const struct sysfsm_violation_kind *kind)
{
	/* Which enforcement points a foreign call comes to is not known. One that refuses something
	 * else would pass for a denial. */
	if (kind->abi != SYSFSM_X86_64)
		return SYSFSM_DENY_COVERAGE_NONE;
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
	/* Fails in an exiting process. */
	failed = bpf_send_signal(SYSFSM_SIGKILL);
	if (kill_families && !again)
		sysfsm_signal_family(task, SYSFSM_SIGKILL);
	return failed;
}

/* What is known of the denials of the current task's process; NULL if it is not watched. */
static __always_inline struct sysfsm_thread *sysfsm_first_thread(void)
{
	struct task_struct *leader = bpf_get_current_task_btf()->group_leader;

	return leader ? sysfsm_thread(leader) : NULL;
}

/* Counts a denial of the current task's process. True: they are too many for so short a time. */
static __noinline int sysfsm_denied_too_often(struct sysfsm_thread *thread)
{
	struct sysfsm_thread *first = sysfsm_first_thread();
	__u64 now = bpf_ktime_get_ns();

	if (!first)
		first = thread;
	if (now - first->denials_since >= denials_within) {
		first->denials_since = now;
		first->denials = 0;
	}
	SYSFSM_COUNT(first->denials);
	return first->denials > denials_at_most;
}

/* A new process goes on with the denials of its creator's. */
static __always_inline void sysfsm_inherit_denials(struct sysfsm_thread *thread)
{
	struct sysfsm_thread *first = denials_at_most ? sysfsm_first_thread() : NULL;

	if (!first)
		return;
	thread->denials_since = first->denials_since;
	thread->denials = first->denials;
}

/* The call that the thread is in is denied, and no other one. */
static __always_inline void sysfsm_deny_call(struct sysfsm_thread *thread, struct pt_regs *regs,
					     __u8 enforcement)
{
	thread->denied_nr = regs->orig_ax;
	thread->denied_ax = regs->ax;
	sysfsm_enforce(thread, enforcement);
}

static __always_inline bool sysfsm_is_first_process(void)
{
	return bpf_get_current_pid_tgid() >> 32 == SYSFSM_FIRST_PROCESS;
}

/* Enforces what follows from a violation, counts the violation and reports it. */
static __noinline int sysfsm_report(struct sysfsm_thread *thread, struct pt_regs *regs,
				    struct sysfsm_violation_kind *kind)
{
	struct sysfsm_counters *counts = sysfsm_counters();
	__u8 enforcement = sysfsm_enforcement_for(thread, kind);
	__u8 action;
	struct sysfsm_violation_count *count;
	struct sysfsm_violation_kind counted;
	struct sysfsm_call_count *call;
	bool reported;
	bool wanted;
	struct sysfsm_event *event;
	__u8 kill_failed = 0;

	if (sysfsm_action_of(enforcement) == SYSFSM_DENY && denials_at_most &&
	    sysfsm_denied_too_often(thread))
		enforcement = SYSFSM_ENFORCE_KILL;
	action = sysfsm_action_of(enforcement);
	kind->policy = thread->policy;
	kind->action = action;
	kind->pad = 0;
	/* First of all: nothing that follows may fail before it. */
	if (enforcement == SYSFSM_ENFORCE_NONE) {
		sysfsm_enforce(thread, enforcement);
	} else if (enforcement != SYSFSM_ENFORCE_KILL) {
		sysfsm_deny_call(thread, regs, enforcement);
	} else if (sysfsm_is_first_process()) {
		/* It goes on, and is to do its lawful work: without it the machine does not run. */
		sysfsm_deny_call(thread, regs, SYSFSM_ENFORCE_DENY);
		kill_failed = 1;
	} else {
		kill_failed = sysfsm_kill_process(thread) != 0;
	}
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

	if (thread->enforcement == SYSFSM_ENFORCE_DENY || sysfsm_is_first_process()) {
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

/*
 * Whether an exec of the task has gone too far to fail, and is not over. From the moment on that it
 * has the new memory the call looks like an execve of the new program's ABI, whatever it was
 * (set_personality_64bit, set_personality_ia32, arch/x86/kernel/process_64.c).
 */
static __always_inline bool sysfsm_is_in_exec(struct task_struct *task, __u32 entered)
{
	if (entered != SYSFSM_NR_EXECVE && entered != SYSFSM_NR_X32_EXECVE &&
	    entered != (SYSFSM_NR_I386_EXECVE | SYSFSM_SIGN_BIT))
		return false;
	/* No program can set it to 0 (validate_prctl_map_addr, kernel/sys.c). */
	return task->mm && !task->mm->env_end;
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
