/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Processes that share their memory or their descriptors (clone with CLONE_VM or CLONE_FILES and
 * without CLONE_THREAD; vfork). At level kill a violating call may take effect, and what it brings
 * lies there: they die with its process.
 */
#ifndef SYSFSM_FAMILY_H
#define SYSFSM_FAMILY_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "signal.h"

/* Whether violations can take effect here. */
const volatile bool kill_families = false;

/* Every thread of every process (kernel/bpf/task_iter.c). */
#define SYSFSM_ALL_THREADS 1

struct bpf_iter_task {
	__u64 opaque[3];
} __attribute__((aligned(8)));

/* Since Linux 6.7. */
extern int bpf_iter_task_new(struct bpf_iter_task *it, struct task_struct *task,
			     unsigned int flags) __ksym __weak;
extern struct task_struct *bpf_iter_task_next(struct bpf_iter_task *it) __ksym __weak;
extern void bpf_iter_task_destroy(struct bpf_iter_task *it) __ksym __weak;
extern struct task_struct *bpf_task_acquire(struct task_struct *task) __ksym __weak;
extern void bpf_task_release(struct task_struct *task) __ksym __weak;
extern void bpf_rcu_read_lock(void) __ksym __weak;
extern void bpf_rcu_read_unlock(void) __ksym __weak;

/*
 * Whether another process may share the task's memory or descriptors: more tasks than the process
 * has alive. A task gives them up after it has left `live` (do_exit, kernel/exit.c).
 */
static __always_inline bool sysfsm_has_family(struct task_struct *task)
{
	int own = task->signal->live.counter;

	return (task->mm && task->mm->mm_users.counter > own) ||
	       (task->files && task->files->count.counter > own);
}

/* Sends a signal to each other process that shares the task's memory or descriptors. */
static __noinline int sysfsm_signal_family(struct task_struct *task, int signal)
{
	struct task_struct *other, *held;
	struct bpf_iter_task it;
	int last = task->tgid;

	if (!bpf_send_signal_task || !sysfsm_has_family(task))
		return 0;
	bpf_rcu_read_lock();
	bpf_iter_task_new(&it, NULL, SYSFSM_ALL_THREADS);
	while ((other = bpf_iter_task_next(&it))) {
		/* The threads of a process come one after another. */
		if (other->tgid == task->tgid || other->tgid == last)
			continue;
		if (!(task->mm && other->mm == task->mm) &&
		    !(task->files && other->files == task->files))
			continue;
		held = bpf_task_acquire(other);
		if (!held)
			continue;
		last = held->tgid;
		sysfsm_send_signal(held, signal);
		bpf_task_release(held);
	}
	bpf_iter_task_destroy(&it);
	bpf_rcu_read_unlock();
	return 0;
}

#endif /* SYSFSM_FAMILY_H */
