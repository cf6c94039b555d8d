// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Counts the calls of all processes that run a file, for the test that each call is judged. It
 * shares nothing with the programs that judge.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "../kernel.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

__u64 inode = 0;
__u64 counted = 0;

SEC("tp_btf/sys_enter")
int BPF_PROG(count, struct pt_regs *regs, long id)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct file *file;

	if (!task->mm)
		return 0;
	file = task->mm->exe_file;
	if (file && file->f_inode->i_ino == inode)
		__sync_fetch_and_add(&counted, 1);
	return 0;
}
