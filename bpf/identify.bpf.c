// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The files behind the descriptors of the process that reads, in the kernel's own numbers. The
 * kernel's side compares those; stat(2) shows other device numbers (overlayfs, btrfs).
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "sysfsm.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

SYSFSM_EXPORT(struct, sysfsm_open_file);

SEC("iter/task_file")
int handle_open_file(struct bpf_iter__task_file *ctx)
{
	struct sysfsm_open_file found = { .fd = ctx->fd };
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;

	if (!task || !file || (__u32)task->tgid != bpf_get_current_pid_tgid() >> 32)
		return 0;
	found.tgid = task->tgid;
	sysfsm_file(&found.file, file->f_inode);
	bpf_seq_write(ctx->meta->seq, &found, sizeof(found));
	return 0;
}
