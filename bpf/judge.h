/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* A call is judged: a violation becomes an event, and a sentence. */
#ifndef SYSFSM_JUDGE_H
#define SYSFSM_JUDGE_H

#define SYSFSM_TS_COMPAT 0x0002 /* arch/x86/include/asm/thread_info.h */
#define SYSFSM_X32_BIT 0x40000000u /* __X32_SYSCALL_BIT */
#define SYSFSM_SIGN_BIT 0x80000000u /* a number below zero is of no ABI, just unknown */

/*
 * Whether a tracepoint's programs can be preempted here. While one is, the kernel leaves it out for
 * the other tasks of its CPU (__bpf_trace_run, kernel/trace/bpf_trace.c). So each hook then has a
 * second program, again_*, for what the first did not see; both at once are hardly ever left out.
 */
const volatile bool preemptible = false;
/* For the tests: a call that those programs are never shown. */
const volatile __u32 unseen = SYSFSM_NO_CALL;

/* Calls that the choke points in place refuse for certain, by number. Read where one is denied. */
__u8 refusable[SYSFSM_CALLS] = {};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

/* Puts the event's type into the BTF, from which the skeleton makes the Rust type. */
const struct sysfsm_event *event_type = NULL;

/* A call that was judged to be a violation. */
struct sysfsm_violation {
	__u32 nr;
	__u32 state; /* of the thread, before the call */
	__u8 verdict;
	__u8 abi;
};

/* What is done about it. A call that nothing refuses is not denied: its process is killed. */
static __always_inline __u8 sysfsm_action(const struct sysfsm_thread *thread,
					  const struct sysfsm_violation *violation)
{
	__u32 nr = violation->nr;

	if (thread->action != SYSFSM_DENY || violation->abi != SYSFSM_X86_64)
		return thread->action;
	/* The kernel has no such call, and says so. */
	if (nr >= SYSFSM_CALLS)
		return SYSFSM_DENY;
	return refusable[nr] ? SYSFSM_DENY : SYSFSM_KILL;
}

static __noinline int sysfsm_report(struct sysfsm_thread *thread, struct pt_regs *regs,
				    const struct sysfsm_violation *violation)
{
	struct sysfsm_counters *counts = sysfsm_counters();
	__u8 action = sysfsm_action(thread, violation);
	__u64 id = bpf_get_current_pid_tgid();
	struct sysfsm_event *event;
	__u8 kill_failed = 0;

	/* First of all: nothing that follows may fail before it. */
	if (action == SYSFSM_KILL)
		thread->sentence = SYSFSM_CONDEMNED;
	else if (action == SYSFSM_DENY)
		thread->sentence = SYSFSM_DENIED;
	/* Fails for the machine's first process, and in an exiting one. */
	if (action == SYSFSM_KILL)
		kill_failed = bpf_send_signal(SYSFSM_SIGKILL) != 0;
	if (!counts)
		return 0;
	/* Atomic: where a program can be preempted, even a counter of this CPU has two writers. */
	__sync_fetch_and_add(&counts->violations, 1);
	if (action == SYSFSM_DENY)
		__sync_fetch_and_add(&counts->denials, 1);
	else if (action == SYSFSM_KILL && kill_failed)
		__sync_fetch_and_add(&counts->kills_failed, 1);
	else if (action == SYSFSM_KILL)
		__sync_fetch_and_add(&counts->kills, 1);
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		counts->events_lost++;
		return 0;
	}
	event->time = bpf_ktime_get_ns();
	event->args[0] = regs->di;
	event->args[1] = regs->si;
	event->args[2] = regs->dx;
	event->args[3] = regs->r10;
	event->args[4] = regs->r8;
	event->args[5] = regs->r9;
	event->ip = regs->ip;
	event->policy = thread->policy;
	event->state = violation->state;
	event->pid = id >> 32;
	event->tid = (__u32)id;
	event->nr = violation->nr;
	event->verdict = violation->verdict;
	event->abi = violation->abi;
	event->action = action;
	event->kill_failed = kill_failed;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/* A thread begins a call under a sentence: a denial is over, the child of a condemned one dies. */
static __noinline int sysfsm_serve(struct sysfsm_thread *thread)
{
	if (thread->sentence == SYSFSM_CONDEMNED)
		return bpf_send_signal(SYSFSM_SIGKILL);
	thread->sentence = SYSFSM_FREE;
	return 0;
}

/* A call as `entered` keeps it: with its ABI. */
static __always_inline __u32 sysfsm_entered(struct task_struct *task, __u32 nr)
{
	return task->thread_info.status & SYSFSM_TS_COMPAT ? nr | SYSFSM_SIGN_BIT : nr;
}

static __always_inline int sysfsm_judge(struct task_struct *task, struct sysfsm_thread *thread,
					struct pt_regs *regs, __u32 nr)
{
	struct sysfsm_violation violation = { .nr = nr };
	struct sysfsm_counters *counts = sysfsm_counters();

	if (preemptible)
		thread->entered = sysfsm_entered(task, nr);
	if (counts)
		counts->judged++;
	if (thread->sentence)
		sysfsm_serve(thread);
	violation.state = thread->top.state;
	if (task->thread_info.status & SYSFSM_TS_COMPAT)
		violation.abi = SYSFSM_I386;
	else if ((nr & SYSFSM_X32_BIT) && !(nr & SYSFSM_SIGN_BIT))
		violation.abi = SYSFSM_X32;
	if (violation.abi == SYSFSM_X86_64)
		violation.verdict = sysfsm_call(thread, nr);
	else
		violation.verdict = sysfsm_foreign(thread);
	if (violation.verdict != SYSFSM_ALLOWED)
		sysfsm_report(thread, regs, &violation);
	return 0;
}

#endif /* SYSFSM_JUDGE_H */
