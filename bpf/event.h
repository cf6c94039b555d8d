/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* A violation, as it is reported to user space. */
#ifndef SYSFSM_EVENT_H
#define SYSFSM_EVENT_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "sysfsm.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

SYSFSM_EXPORT(struct, sysfsm_event);

/* Fills in the whole event but kill_failed. */
static __always_inline void sysfsm_describe(struct sysfsm_event *event, struct pt_regs *regs,
					    const struct sysfsm_violation_kind *kind)
{
	__u64 id = bpf_get_current_pid_tgid();

	event->time = bpf_ktime_get_ns();
	event->args[0] = regs->di;
	event->args[1] = regs->si;
	event->args[2] = regs->dx;
	event->args[3] = regs->r10;
	event->args[4] = regs->r8;
	event->args[5] = regs->r9;
	event->ip = regs->ip;
	event->kind = *kind;
	event->pid = id >> 32;
	event->tid = (__u32)id;
	event->pad = 0;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
}

#endif /* SYSFSM_EVENT_H */
