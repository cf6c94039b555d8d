/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Adoption: the iterator that takes running tasks under their policies. */
#ifndef SYSFSM_ADOPT_H
#define SYSFSM_ADOPT_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "counters.h"
#include "kernel.h"
#include "sysfsm.h"
#include "threads.h"

/* The object that includes this header defines these two functions. */

/* What the task is to be taken for; 0: nothing. `adoptee` is NULL if user space does not know the
 * task's process. */
static __always_inline __u32 sysfsm_taken_for(struct task_struct *task,
					      struct sysfsm_adoptee *adoptee);
/* Takes the task for that; false if it cannot be. */
static __always_inline bool sysfsm_on_adopt(struct task_struct *task, struct sysfsm_thread *thread,
					    struct sysfsm_adoptee *adoptee, __u32 taken_for);

/* Process id → what the process is taken for, while running processes are adopted. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, __u32);
	__type(value, struct sysfsm_adoptee);
} adoptees SEC(".maps");

/* The id of a task's process in the namespace of the process that reads; 0: it has none there. */
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

/* Whether a task still runs this file: it may have exec'd since user space looked. */
static __always_inline bool sysfsm_runs(struct task_struct *task, const struct sysfsm_file *exe)
{
	struct sysfsm_file now = {};
	struct file *file;

	if (!task->mm)
		return false;
	file = task->mm->exe_file;
	if (!file)
		return false;
	sysfsm_file(&now, file->f_inode);
	return now.inode == exe->inode && now.device == exe->device &&
	       now.generation == exe->generation;
}

SEC("iter/task")
int handle_adopt(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct sysfsm_adoptee *adoptee;
	struct sysfsm_counters *counts;
	struct sysfsm_thread *thread;
	__u32 taken_for;
	__u32 pid;

	if (!task)
		return 0;
	pid = sysfsm_pid_here(task);
	adoptee = bpf_map_lookup_elem(&adoptees, &pid);
	if (adoptee && !sysfsm_runs(task, &adoptee->exe))
		adoptee = NULL;
	if (sysfsm_thread(task))
		return 0;
	taken_for = sysfsm_taken_for(task, adoptee);
	if (!taken_for)
		return 0;
	counts = sysfsm_counters();
	thread = sysfsm_begin(task);
	/* User space takes a refusal for an error: no process is killed before enforcement begins.
	 */
	if (!thread && counts)
		counts->threads_refused++;
	else if (thread && sysfsm_on_adopt(task, thread, adoptee, taken_for) && counts)
		counts->adopted++;
	return 0;
}

#endif /* SYSFSM_ADOPT_H */
