/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The programs at the hooks. Each finds the thread that something happens to, and sees to it that
 * the thread's event is handled once (hold.h). What the event means is for the object to say.
 *
 * They are BTF tracepoints: tracefs and perf events are often locked down.
 */
#ifndef SYSFSM_HOOKS_H
#define SYSFSM_HOOKS_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "frames.h"
#include "hold.h"
#include "kernel.h"
#include "sysfsm.h"
#include "threads.h"

#define SYSFSM_HANDLER_MIN 2 /* 0 is SIG_DFL, 1 is SIG_IGN */

/* For the tests: a call that the programs at sys_enter are never shown. */
const volatile __u32 unseen = SYSFSM_NO_CALL;

/* The object that includes this header defines these five functions. */

/* The thread makes a call. `sure`: nothing preempts the program, so that every call is seen. */
static __always_inline int sysfsm_on_call(struct task_struct *task, struct sysfsm_thread *thread,
					  struct pt_regs *regs, __u32 nr, bool sure);
/* A task has exec'd, watched or not. `again`: the second program of the hook runs. */
static __always_inline int sysfsm_on_exec(struct task_struct *task, struct linux_binprm *bprm,
					  bool again);
/* The thread begins, its state a copy of its creator's. */
static __always_inline void sysfsm_on_birth(struct sysfsm_thread *thread);
/* A task ends, watched or not. */
static __always_inline void sysfsm_on_exit(struct task_struct *task);
/* A handler begins. */
static __always_inline void sysfsm_on_signal(struct sysfsm_thread *thread, __u32 signal);

/* A program at a tracepoint that keeps the CPU while it evaluates `body`. */
#define SYSFSM_PROGRAM(tracepoint, name, body, ...)                                                \
	SEC("tp_btf/" tracepoint)                                                                  \
	int BPF_PROG(name, __VA_ARGS__)                                                            \
	{                                                                                          \
		sysfsm_hold();                                                                     \
		body;                                                                              \
		sysfsm_let_go();                                                                   \
		return 0;                                                                          \
	}

/* The two programs of a hook (hold.h). `body` is a function that takes the arguments `passed`, and
 * whether it runs in the second program. */
#define SYSFSM_PROGRAMS(tracepoint, name, body, passed, ...)                                       \
	SYSFSM_PROGRAM(tracepoint, handle_##name, body(SYSFSM_ALL passed, false), __VA_ARGS__)     \
	SYSFSM_PROGRAM(tracepoint, again_##name, body(SYSFSM_ALL passed, true), __VA_ARGS__)
#define SYSFSM_ALL(...) __VA_ARGS__

/*
 * `sure`: nothing preempts the program. A constant of each of the programs, as calls are what
 * costs: the verifier takes out the branches of `preemptible`, and not the loads.
 */
static __always_inline int sysfsm_enter(struct pt_regs *regs, __u32 nr, bool sure)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct sysfsm_thread *thread = sysfsm_stored(task);

	if (!thread && spares_used)
		thread = sysfsm_settle(task);
	if (!thread || !thread->policy || (!sure && nr == unseen))
		return 0;
	if (!sure)
		thread->seen = 1;
	return sysfsm_on_call(task, thread, regs, nr, sure);
}

SEC("tp_btf/sys_enter")
int BPF_PROG(sure_sys_enter, struct pt_regs *regs, long id)
{
	return sysfsm_enter(regs, id, true);
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
	return sysfsm_on_call(task, thread, regs, nr, false);
}

static __always_inline int sysfsm_enter_twice(struct pt_regs *regs, __u32 nr, bool again)
{
	return again ? sysfsm_enter_again(regs, nr) : sysfsm_enter(regs, nr, false);
}

SYSFSM_PROGRAMS("sys_enter", sys_enter, sysfsm_enter_twice, (regs, id), struct pt_regs *regs,
		long id)

SEC("tracepoint/raw_syscalls/sys_enter")
int classic_sys_enter(void *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());

	return sysfsm_enter(regs, regs->orig_ax, false);
}

SYSFSM_PROGRAMS("sched_process_exec", exec, sysfsm_on_exec, (task, bprm), struct task_struct *task,
		int old_pid, struct linux_binprm *bprm)

static __always_inline int sysfsm_newtask(struct task_struct *task, bool again)
{
	struct sysfsm_thread *parent = sysfsm_thread(bpf_get_current_task_btf());
	struct sysfsm_thread *thread;

	if (!parent || sysfsm_thread(task))
		return 0;
	/* The copy is taken inside the creator's call, so its last symbol is that call. */
	thread = sysfsm_watch(task, parent);
	if (thread)
		sysfsm_on_birth(thread);
	else
		sysfsm_refuse(sysfsm_only_logs(parent->action));
	return 0;
}

SYSFSM_PROGRAMS("task_newtask", newtask, sysfsm_newtask, (task), struct task_struct *task,
		unsigned long clone_flags)

static __always_inline int sysfsm_exit(struct task_struct *task, bool again)
{
	sysfsm_on_exit(task);
	/* Nothing is left in the spares of one that ends before its first call. */
	if (spares_used)
		sysfsm_spare_delete(task);
	return 0;
}

SYSFSM_PROGRAMS("sched_process_exit", exit, sysfsm_exit, (task), struct task_struct *task)

/* A signal is delivered, to a handler or not. */
static __always_inline int sysfsm_deliver(struct k_sigaction *action, __u32 signal, bool again)
{
	struct sysfsm_thread *thread;

	if ((unsigned long)action->sa.sa_handler < SYSFSM_HANDLER_MIN)
		return 0;
	thread = sysfsm_thread(bpf_get_current_task_btf());
	if (!thread)
		return 0;
	if (!again || !thread->seen)
		sysfsm_on_signal(thread, signal);
	if (again || preemptible)
		thread->seen = !again;
	return 0;
}

SYSFSM_PROGRAMS("signal_deliver", signal, sysfsm_deliver, (action, sig), int sig,
		struct kernel_siginfo *info, struct k_sigaction *action)

#endif /* SYSFSM_HOOKS_H */
