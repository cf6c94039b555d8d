/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The program that tells which threads are watched. */
#ifndef SYSFSM_WATCHED_H
#define SYSFSM_WATCHED_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "sysfsm.h"
#include "threads.h"

/* Puts the record's type into the BTF, from which the skeleton makes the Rust type. */
const struct sysfsm_watched *watched_type = NULL;

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
	/* Where there is no room, the kernel gives more, and comes again. */
	bpf_seq_write(ctx->meta->seq, &watched, sizeof(watched));
	return 0;
}

#endif /* SYSFSM_WATCHED_H */
