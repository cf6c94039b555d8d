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
#include "hold.h"
#include "maps.h"
#include "step.h"
#include "threads.h"
#include "identity.h"
#include "event.h"
#include "learn.h"
#include "judge.h"
#include "veto.h"

#define SYSFSM_HANDLER_MIN 2 /* 0 is SIG_DFL, 1 is SIG_IGN */

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Process id → what it is taken for, while running processes are adopted. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, __u32);
	__type(value, struct sysfsm_adoptee);
} adoptees SEC(".maps");

static __always_inline int sysfsm_enter(struct pt_regs *regs, __u32 nr, bool again)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct sysfsm_thread *thread = sysfsm_thread(task);

	if (!thread || (preemptible && nr == unseen))
		return 0;
	if (spares_used && !spares_only) {
		sysfsm_settle(task);
		thread = sysfsm_thread(task);
		if (!thread)
			return 0;
	}
	if (preemptible && again)
		thread->seen = 1;
	return sysfsm_judge(task, thread, regs, nr);
}

SEC("tp_btf/sys_enter")
int BPF_PROG(handle_sys_enter, struct pt_regs *regs, long id)
{
	sysfsm_hold();
	sysfsm_enter(regs, id, true);
	sysfsm_let_go();
	return 0;
}

static __always_inline int sysfsm_enter_again(struct pt_regs *regs, __u32 nr)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct sysfsm_thread *thread = sysfsm_thread(task);

	if (!thread || nr == unseen)
		return 0;
	if (thread->seen) {
		thread->seen = 0;
		return 0;
	}
	return sysfsm_judge(task, thread, regs, nr);
}

SEC("tp_btf/sys_enter")
int BPF_PROG(again_sys_enter, struct pt_regs *regs, long id)
{
	sysfsm_hold();
	sysfsm_enter_again(regs, id);
	sysfsm_let_go();
	return 0;
}

SEC("tracepoint/raw_syscalls/sys_enter")
int classic_sys_enter(void *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());

	return sysfsm_enter(regs, regs->orig_ax, false);
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
		sysfsm_refuse(sysfsm_only_logs(policy->action));
		return 0;
	}
	sysfsm_bind(thread, index, policy, false);
	/* It is still in the call that exec'd it. */
	if (preemptible)
		thread->entered = sysfsm_entered_now(task);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(handle_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	sysfsm_hold();
	sysfsm_exec(task, bprm);
	sysfsm_let_go();
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(again_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	sysfsm_hold();
	sysfsm_exec(task, bprm);
	sysfsm_let_go();
	return 0;
}

static __always_inline int sysfsm_newtask(struct task_struct *task)
{
	struct sysfsm_thread *parent = sysfsm_thread(bpf_get_current_task_btf());
	struct sysfsm_thread *thread;

	if (!parent || sysfsm_thread(task))
		return 0;
	/* The copy is taken inside the creator's call, so its last symbol is that call. */
	thread = sysfsm_watch(task, parent);
	if (!thread)
		sysfsm_refuse(sysfsm_only_logs(parent->action));
	else if (thread->sentence != SYSFSM_CONDEMNED)
		/* A denial is its creator's. A worker of io_uring's makes no call that would end
		 * it. */
		thread->sentence = SYSFSM_FREE;
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(handle_newtask, struct task_struct *task, unsigned long clone_flags)
{
	sysfsm_hold();
	sysfsm_newtask(task);
	sysfsm_let_go();
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(again_newtask, struct task_struct *task, unsigned long clone_flags)
{
	sysfsm_hold();
	sysfsm_newtask(task);
	sysfsm_let_go();
	return 0;
}

static __always_inline int sysfsm_exit(struct task_struct *task)
{
	/* Nothing is left in the spares of one that ends before its first call. */
	if (spares_used)
		sysfsm_spare_delete(task);
	/* Its links are freed one after another, and slowly: from now on they refuse nobody. */
	if (enforcer && (__u32)task->pid == enforcer)
		enforcer = 0;
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(handle_exit, struct task_struct *task)
{
	sysfsm_hold();
	sysfsm_exit(task);
	sysfsm_let_go();
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(again_exit, struct task_struct *task)
{
	sysfsm_hold();
	sysfsm_exit(task);
	sysfsm_let_go();
	return 0;
}

/* The thread in which a handler begins, NULL if it is not watched. */
static __always_inline struct sysfsm_thread *sysfsm_handling(struct k_sigaction *action)
{
	if ((unsigned long)action->sa.sa_handler < SYSFSM_HANDLER_MIN)
		return NULL;
	return sysfsm_thread(bpf_get_current_task_btf());
}

SEC("tp_btf/signal_deliver")
int BPF_PROG(handle_signal, int sig, struct kernel_siginfo *info, struct k_sigaction *action)
{
	struct sysfsm_thread *thread;

	sysfsm_hold();
	thread = sysfsm_handling(action);
	if (thread) {
		if (preemptible)
			thread->seen = 1;
		sysfsm_signal(thread, sig);
	}
	sysfsm_let_go();
	return 0;
}

SEC("tp_btf/signal_deliver")
int BPF_PROG(again_signal, int sig, struct kernel_siginfo *info, struct k_sigaction *action)
{
	struct sysfsm_thread *thread;

	sysfsm_hold();
	thread = sysfsm_handling(action);
	if (thread) {
		if (!thread->seen)
			sysfsm_signal(thread, sig);
		thread->seen = 0;
	}
	sysfsm_let_go();
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
	if (thread) {
		sysfsm_bind(thread, index, policy, true);
		thread->entered = SYSFSM_NO_CALL;
	}
	/* User space takes a refusal for an error: nobody is killed before enforcement began. */
	if (thread && counts)
		counts->adopted++;
	else if (counts)
		counts->threads_refused++;
	return 0;
}
