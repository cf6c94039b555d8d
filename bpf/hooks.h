/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The programs at the hooks: they find the thread that something happens to, and see to it that it
 * is seen once (hold.h). What it means is the object's own. Before it includes this, it says so in
 *
 *   sysfsm_on_call(task, thread, regs, nr, sure)
 *                                      the thread makes a call; `sure`: every one is seen
 *   sysfsm_on_exec(task, bprm, again)  any task has exec'd; `again`: for the second program
 *   sysfsm_on_birth(thread)            the thread, a copy of its creator's state, begins
 *   sysfsm_on_exit(task)               any task ends
 *   sysfsm_on_signal(thread, signal)   a handler begins
 *
 * They are BTF tracepoints: tracefs and perf events are often locked down.
 */
#ifndef SYSFSM_HOOKS_H
#define SYSFSM_HOOKS_H

#define SYSFSM_HANDLER_MIN 2 /* 0 is SIG_DFL, 1 is SIG_IGN */

/* For the tests: a call that the programs at sys_enter are never shown. */
const volatile __u32 unseen = SYSFSM_NO_CALL;

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

SEC("tp_btf/sys_enter")
int BPF_PROG(handle_sys_enter, struct pt_regs *regs, long id)
{
	sysfsm_hold();
	sysfsm_enter(regs, id, false);
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
	return sysfsm_on_call(task, thread, regs, nr, false);
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

SEC("tp_btf/sched_process_exec")
int BPF_PROG(handle_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	sysfsm_hold();
	sysfsm_on_exec(task, bprm, false);
	sysfsm_let_go();
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(again_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	sysfsm_hold();
	sysfsm_on_exec(task, bprm, true);
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
	if (thread)
		sysfsm_on_birth(thread);
	else
		sysfsm_refuse(sysfsm_only_logs(parent->action));
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
	sysfsm_on_exit(task);
	/* Nothing is left in the spares of one that ends before its first call. */
	if (spares_used)
		sysfsm_spare_delete(task);
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
		sysfsm_on_signal(thread, sig);
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
			sysfsm_on_signal(thread, sig);
		thread->seen = 0;
	}
	sysfsm_let_go();
	return 0;
}

#endif /* SYSFSM_HOOKS_H */
