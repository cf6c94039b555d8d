/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The iterator that lists the watched threads. */
#ifndef SYSFSM_WATCHED_H
#define SYSFSM_WATCHED_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "sysfsm.h"
#include "threads.h"

SYSFSM_EXPORT(struct, sysfsm_watched);

SEC("iter/task")
int handle_watched(struct bpf_iter__task *ctx)
{
	struct sysfsm_watched watched = {};
	struct task_struct *task = ctx->task;
	struct sysfsm_thread *thread;

	if (!task)
		return 0;
	thread = sysfsm_thread(task);
	if (!thread)
		return 0;
	watched.pid = task->tgid;
	watched.tid = task->pid;
	watched.policy = thread->policy;
	watched.state = thread->top.state;
	/* If there is no room, the kernel makes room and runs the program again. */
	bpf_seq_write(ctx->meta->seq, &watched, sizeof(watched));
	return 0;
}

#endif /* SYSFSM_WATCHED_H */
