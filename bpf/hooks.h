/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The programs at the hooks. A program finds the thread that something happens to, and sees to it
 * that the thread's event is handled once (preempt.h). The object defines what follows.
 *
 * The hooks are BTF tracepoints: tracefs and perf events are often locked down.
 */
#ifndef SYSFSM_HOOKS_H
#define SYSFSM_HOOKS_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "frames.h"
#include "preempt.h"
#include "kernel.h"
#include "sysfsm.h"
#include "threads.h"

#define SYSFSM_HANDLER_MIN 2 /* 0 is SIG_DFL, 1 is SIG_IGN */
#define SYSFSM_SA_ONSTACK 0x08000000ul
#define SYSFSM_SS_AUTODISARM (1u << 31)
#define SYSFSM_SIGSEGV 11
#define SYSFSM_SI_KERNEL 0x80

/* For the tests: a call that the programs at sys_enter are never shown. */
const volatile __u32 simulate_missed_nr = SYSFSM_NO_CALL;

/* The object that includes this header defines these six functions. */

/* The thread makes a call. `non_preemptible`: no call is missed. */
static __always_inline int sysfsm_on_call(struct task_struct *task, struct sysfsm_thread *thread,
					  struct pt_regs *regs, __u32 nr, bool non_preemptible);
/* A task has exec'd, watched or not. `fallback`: in the fallback program of the hook. */
static __always_inline int sysfsm_on_exec(struct task_struct *task, struct linux_binprm *bprm,
					  bool fallback);
/* The thread begins, its state a copy of its creator's. */
static __always_inline void sysfsm_on_birth(struct sysfsm_thread *thread);
/* A task begins. The current task, which has created it, is not watched. */
static __always_inline void sysfsm_on_other_birth(struct task_struct *task);
/* A task ends, watched or not. */
static __always_inline void sysfsm_on_exit(struct task_struct *task);
/* A handler begins. */
static __always_inline void sysfsm_on_signal(struct sysfsm_thread *thread, __u32 signal,
					     const struct sysfsm_delivery *by);

/* A program at a tracepoint that keeps the CPU while it evaluates `body`. */
#define SYSFSM_PROGRAM(tracepoint, name, body, ...)                                                \
	SEC("tp_btf/" tracepoint)                                                                  \
	int BPF_PROG(name, __VA_ARGS__)                                                            \
	{                                                                                          \
		sysfsm_preempt_off();                                                              \
		body;                                                                              \
		sysfsm_preempt_on();                                                               \
		return 0;                                                                          \
	}

/* The two programs of a hook (preempt.h). `body` is a function that takes the arguments `passed`,
 * and whether the fallback program calls it. */
#define SYSFSM_PROGRAMS(tracepoint, name, body, passed, ...)                                       \
	SYSFSM_PROGRAM(tracepoint, name##_primary, body(SYSFSM_ALL passed, false), __VA_ARGS__)    \
	SYSFSM_PROGRAM(tracepoint, name##_fallback, body(SYSFSM_ALL passed, true), __VA_ARGS__)
#define SYSFSM_ALL(...) __VA_ARGS__

/*
 * `non_preemptible` is a constant of each program, because the cost of a call is what counts: of
 * `if (preemptible)` the verifier removes the branch, but not the load.
 */
static __always_inline int sysfsm_enter(struct pt_regs *regs, __u32 nr, bool non_preemptible)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct sysfsm_thread *thread = sysfsm_storage_of(task);

	if (!thread && fallbacks_used)
		thread = sysfsm_move_to_storage(task);
	if (!thread)
		return 0;
	/* Where no call is missed sysfsm_on_call() finds out by itself whether it is watched. */
	if (!non_preemptible && (!thread->policy || nr == simulate_missed_nr))
		return 0;
	if (!non_preemptible)
		thread->handled = 1;
	return sysfsm_on_call(task, thread, regs, nr, non_preemptible);
}

SEC("tp_btf/sys_enter")
int BPF_PROG(sys_enter, struct pt_regs *regs, long id)
{
	return sysfsm_enter(regs, id, true);
}

static __always_inline int sysfsm_enter_fallback(struct pt_regs *regs, __u32 nr)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct sysfsm_thread *thread = sysfsm_thread(task);

	if (!thread || nr == simulate_missed_nr)
		return 0;
	if (thread->handled) {
		thread->handled = 0;
		return 0;
	}
	return sysfsm_on_call(task, thread, regs, nr, false);
}

static __always_inline int sysfsm_enter_preemptible(struct pt_regs *regs, __u32 nr, bool fallback)
{
	return fallback ? sysfsm_enter_fallback(regs, nr) : sysfsm_enter(regs, nr, false);
}

SYSFSM_PROGRAMS("sys_enter", sys_enter, sysfsm_enter_preemptible, (regs, id), struct pt_regs *regs,
		long id)

SEC("tracepoint/raw_syscalls/sys_enter")
int sys_enter_classic(void *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());

	return sysfsm_enter(regs, regs->orig_ax, false);
}

SYSFSM_PROGRAMS("sched_process_exec", exec, sysfsm_on_exec, (task, bprm), struct task_struct *task,
		int old_pid, struct linux_binprm *bprm)

static __always_inline int sysfsm_newtask(struct task_struct *task, bool fallback)
{
	struct sysfsm_thread *parent = sysfsm_thread(bpf_get_current_task_btf());
	struct sysfsm_thread *thread;

	if (sysfsm_thread(task))
		return 0;
	if (!parent) {
		sysfsm_on_other_birth(task);
		return 0;
	}
	/* The copy is taken inside the creator's call, so its last symbol is that call. */
	thread = sysfsm_watch(task, parent);
	if (thread) {
		if (thread->older_returns == SYSFSM_UNTIL_A_CALL)
			thread->older_returns = 0;
		sysfsm_on_birth(thread);
	} else {
		sysfsm_refuse_birth(task, sysfsm_only_logs(parent->action));
	}
	return 0;
}

SYSFSM_PROGRAMS("task_newtask", newtask, sysfsm_newtask, (task), struct task_struct *task,
		unsigned long clone_flags)

static __always_inline int sysfsm_exit(struct task_struct *task, bool fallback)
{
	sysfsm_on_exit(task);
	/* A thread that ends before its first call may still be in the fallback map. */
	if (fallbacks_used)
		sysfsm_fallback_delete(task);
	return 0;
}

SYSFSM_PROGRAMS("sched_process_exit", exit, sysfsm_exit, (task), struct task_struct *task)

/* How the handler begins (get_sigframe, arch/x86/kernel/signal.c). */
static __always_inline void sysfsm_delivery(struct sysfsm_delivery *by, struct task_struct *task,
					    struct sysfsm_thread *thread,
					    struct kernel_siginfo *info, __u32 signal,
					    unsigned long flags)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	__u64 end = task->sas_ss_sp + task->sas_ss_size;
	__u64 size;

	by->pointer = regs->sp;
	by->from = sysfsm_alternate(task, thread, by->pointer, &size);
	by->stack = by->from;
	/* The verifier of Linux 7 takes `info` for a number: some signals have none. */
	by->setup_failed =
		signal == SYSFSM_SIGSEGV && BPF_CORE_READ(info, si_code) == SYSFSM_SI_KERNEL;
	if (flags & SYSFSM_SA_ONSTACK && task->sas_ss_size &&
	    (task->sas_ss_flags & SYSFSM_SS_AUTODISARM ||
	     !sysfsm_on_stack(by->pointer, end, task->sas_ss_size))) {
		by->switches = 1;
		by->stack = end;
		size = task->sas_ss_size;
	}
	by->size = size < ~0U ? size : ~0U;
}

/* A signal is delivered, to a handler or not. */
static __always_inline int sysfsm_deliver(struct kernel_siginfo *info, struct k_sigaction *action,
					  __u32 signal, bool fallback)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct sysfsm_delivery by = {};
	struct sysfsm_thread *thread;

	if ((unsigned long)action->sa.sa_handler < SYSFSM_HANDLER_MIN)
		return 0;
	thread = sysfsm_thread(task);
	if (!thread)
		return 0;
	if (fallback && thread->handled) {
		thread->handled = 0;
		return 0;
	}
	if (!fallback && preemptible)
		thread->handled = 1;
	sysfsm_delivery(&by, task, thread, info, signal, action->sa.sa_flags);
	sysfsm_on_signal(thread, signal, &by);
	return 0;
}

SYSFSM_PROGRAMS("signal_deliver", signal, sysfsm_deliver, (info, action, sig), int sig,
		struct kernel_siginfo *info, struct k_sigaction *action)

#endif /* SYSFSM_HOOKS_H */
