/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Signals to other tasks than the current one. */
#ifndef SYSFSM_SIGNAL_H
#define SYSFSM_SIGNAL_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"

#define SYSFSM_SIGKILL 9
#define SYSFSM_EBUSY 16
/* How often a signal is sent that the CPU has no room for at once (bpf_send_signal_common,
 * kernel/trace/bpf_trace.c). */
#define SYSFSM_SEND_TRIES 64

enum pid_type {
	PIDTYPE_PID,
	PIDTYPE_TGID,
};

/* Since Linux 6.13. */
extern int bpf_send_signal_task(struct task_struct *task, int signal, enum pid_type type,
				__u64 value) __ksym __weak;

/* Sends a signal to the process of a task; 0, or an error. */
static __always_inline int sysfsm_send_signal(struct task_struct *task, int signal)
{
	int failed = -SYSFSM_EBUSY;

	for (int i = 0; i < SYSFSM_SEND_TRIES && failed == -SYSFSM_EBUSY; i++)
		failed = bpf_send_signal_task(task, signal, PIDTYPE_TGID, 0);
	return failed;
}

#endif /* SYSFSM_SIGNAL_H */
