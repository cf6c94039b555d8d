// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Which file is behind a descriptor of the process that reads, in the kernel's own numbers: stat(2)
 * shows other device numbers (overlayfs, btrfs), and what happens to a thread is compared in the
 * kernel.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "sysfsm.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Puts the record's type into the BTF, from which the skeleton makes the Rust type. */
const struct sysfsm_open_file *record_type = NULL;

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
