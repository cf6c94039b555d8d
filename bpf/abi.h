/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The ABI of a call: a number has a meaning only in the table of its ABI. */
#ifndef SYSFSM_ABI_H
#define SYSFSM_ABI_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "sysfsm.h"

#define SYSFSM_TS_COMPAT 0x0002 /* arch/x86/include/asm/thread_info.h */
#define SYSFSM_X32_BIT 0x40000000u /* __X32_SYSCALL_BIT */
#define SYSFSM_SIGN_BIT 0x80000000u /* a negative number has no ABI: the call is unknown */

static __always_inline __u8 sysfsm_abi(struct task_struct *task, __u32 nr)
{
	if (task->thread_info.status & SYSFSM_TS_COMPAT)
		return SYSFSM_I386;
	if ((nr & SYSFSM_X32_BIT) && !(nr & SYSFSM_SIGN_BIT))
		return SYSFSM_X32;
	return SYSFSM_X86_64;
}

#endif /* SYSFSM_ABI_H */
