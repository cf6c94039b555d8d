// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The programs: what happens to a thread (exec, birth, signal, system call) becomes a step, and a
 * violation becomes an event, and a sentence: SIGKILL, or the refusal of this call.
 *
 * They decide at BTF tracepoints: tracefs and perf events are often locked down.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "sysfsm.h"
#include "kernel.h"
#include "maps.h"
#include "step.h"
#include "threads.h"
#include "identity.h"
#include "veto.h"

#define SYSFSM_TS_COMPAT 0x0002 /* arch/x86/include/asm/thread_info.h */
#define SYSFSM_X32_BIT 0x40000000u /* __X32_SYSCALL_BIT */
#define SYSFSM_SIGN_BIT 0x80000000u /* a number below zero is of no ABI, just unknown */
#define SYSFSM_HANDLER_MIN 2 /* 0 is SIG_DFL, 1 is SIG_IGN */

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/*
 * Whether a tracepoint's programs can be preempted here. While one is, the kernel leaves it out for
 * the other tasks of its CPU (__bpf_trace_run, kernel/trace/bpf_trace.c). So each hook then has a
 * second program, again_*, for what the first did not see; both at once are hardly ever left out.
 */
const volatile bool preemptible = false;

/* Process id → what it is taken for, while running processes are adopted. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, __u32);
	__type(value, struct sysfsm_adoptee);
} adoptees SEC(".maps");

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

static __always_inline int sysfsm_judge(struct task_struct *task, struct sysfsm_thread *thread,
					struct pt_regs *regs, __u32 nr)
{
	struct sysfsm_violation violation = { .nr = nr };
	struct sysfsm_counters *counts;

	counts = sysfsm_counters();
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

SEC("tp_btf/sys_enter")
int BPF_PROG(handle_sys_enter, struct pt_regs *regs, long id)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct sysfsm_thread *thread = sysfsm_thread(task);

	if (!thread)
		return 0;
	if (spares_used && !spares_only) {
		sysfsm_settle(task);
		thread = sysfsm_thread(task);
		if (!thread)
			return 0;
	}
	if (preemptible)
		thread->seen = 1;
	return sysfsm_judge(task, thread, regs, id);
}

SEC("tp_btf/sys_enter")
int BPF_PROG(again_sys_enter, struct pt_regs *regs, long id)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct sysfsm_thread *thread = sysfsm_thread(task);

	if (!thread)
		return 0;
	if (thread->seen) {
		thread->seen = 0;
		return 0;
	}
	return sysfsm_judge(task, thread, regs, id);
}

/* Binding twice is binding once: it is its thread's state after the exec, and before its first
 * call. */
static __always_inline int sysfsm_exec(struct task_struct *task, struct linux_binprm *bprm)
{
	struct sysfsm_thread *thread = sysfsm_thread(task);
	const struct sysfsm_policy *policy;
	__u32 index = sysfsm_find(bprm);

	/* It is dead already; no other binary saves it. */
	if (thread && thread->sentence == SYSFSM_CONDEMNED)
		return 0;
	if (!index && thread) {
		index = thread->policy;
		policy = bpf_map_lookup_elem(&policies, &index);
		if (!policy || !policy->inherit) {
			sysfsm_release(task, thread);
			return 0;
		}
	}
	if (!index)
		return 0;
	policy = bpf_map_lookup_elem(&policies, &index);
	if (!policy)
		return 0;
	if (!thread)
		thread = sysfsm_begin(task);
	if (!thread) {
		sysfsm_refuse(policy->action == SYSFSM_LOG);
		return 0;
	}
	sysfsm_bind(thread, index, policy, false);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(handle_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	return sysfsm_exec(task, bprm);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(again_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	return sysfsm_exec(task, bprm);
}

static __always_inline int sysfsm_newtask(struct task_struct *task)
{
	struct sysfsm_thread *parent = sysfsm_thread(bpf_get_current_task_btf());

	/* The copy is taken inside the creator's call, so its last symbol is that call. */
	if (parent && !sysfsm_thread(task) && !sysfsm_watch(task, parent))
		sysfsm_refuse(parent->action == SYSFSM_LOG);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(handle_newtask, struct task_struct *task, unsigned long clone_flags)
{
	return sysfsm_newtask(task);
}

SEC("tp_btf/task_newtask")
int BPF_PROG(again_newtask, struct task_struct *task, unsigned long clone_flags)
{
	return sysfsm_newtask(task);
}

/* Nothing is left in the spares of one that ends before its first call. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(handle_exit, struct task_struct *task)
{
	if (spares_used)
		sysfsm_spare_delete(task);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(again_exit, struct task_struct *task)
{
	if (spares_used)
		sysfsm_spare_delete(task);
	return 0;
}

SEC("tp_btf/signal_deliver")
int BPF_PROG(handle_signal, int sig, struct kernel_siginfo *info, struct k_sigaction *action)
{
	struct sysfsm_thread *thread = sysfsm_thread(bpf_get_current_task_btf());

	if (!thread || (unsigned long)action->sa.sa_handler < SYSFSM_HANDLER_MIN)
		return 0;
	if (preemptible)
		thread->seen = 1;
	sysfsm_signal(thread, sig);
	return 0;
}

SEC("tp_btf/signal_deliver")
int BPF_PROG(again_signal, int sig, struct kernel_siginfo *info, struct k_sigaction *action)
{
	struct sysfsm_thread *thread = sysfsm_thread(bpf_get_current_task_btf());

	if (!thread || (unsigned long)action->sa.sa_handler < SYSFSM_HANDLER_MIN)
		return 0;
	if (thread->seen)
		thread->seen = 0;
	else
		sysfsm_signal(thread, sig);
	return 0;
}

/* The id of a task's process in the namespace of the process that reads, 0 if it has none there. */
static __always_inline __u32 sysfsm_pid_here(struct task_struct *task)
{
	struct pid *reader = bpf_get_current_task_btf()->thread_pid;
	struct pid *pid = task->group_leader->thread_pid;
	struct upid there = {};
	struct upid here = {};
	__u32 level;

	if (!reader || !pid)
		return 0;
	level = reader->level;
	if (pid->level < level)
		return 0;
	if (bpf_probe_read_kernel(&here, sizeof(here), &reader->numbers[0] + level) ||
	    bpf_probe_read_kernel(&there, sizeof(there), &pid->numbers[0] + level))
		return 0;
	return here.ns == there.ns ? there.nr : 0;
}

SEC("iter/task")
int handle_adopt(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	const struct sysfsm_adoptee *adoptee;
	const struct sysfsm_policy *policy;
	struct sysfsm_counters *counts;
	struct sysfsm_thread *thread;
	struct sysfsm_file exe = {};
	struct file *file;
	__u32 index;

	if (!task)
		return 0;
	index = sysfsm_pid_here(task);
	adoptee = bpf_map_lookup_elem(&adoptees, &index);
	if (!adoptee || !task->mm)
		return 0;
	file = task->mm->exe_file;
	if (!file)
		return 0;
	/* It may have exec'd since user space looked. */
	sysfsm_file(&exe, file->f_inode);
	if (exe.inode != adoptee->exe.inode || exe.device != adoptee->exe.device)
		return 0;
	index = adoptee->policy;
	policy = bpf_map_lookup_elem(&policies, &index);
	if (!policy || sysfsm_thread(task))
		return 0;
	counts = sysfsm_counters();
	thread = sysfsm_begin(task);
	if (thread)
		sysfsm_bind(thread, index, policy, true);
	/* User space takes a refusal for an error: nobody is killed before enforcement began. */
	if (thread && counts)
		counts->adopted++;
	else if (counts)
		counts->threads_refused++;
	return 0;
}
