/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* A violation as user space is told of it. */
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

/* Puts the event's type into the BTF, from which the skeleton makes the Rust type. */
const struct sysfsm_event *event_type = NULL;

/* A call that was judged to be a violation. */
struct sysfsm_violation {
	__u32 nr;
	__u32 state; /* of the thread, before the call */
	__u8 verdict;
	__u8 abi;
};

/* All of the event but what was done about it. */
static __always_inline void sysfsm_describe(struct sysfsm_event *event,
					    const struct sysfsm_thread *thread,
					    struct pt_regs *regs,
					    const struct sysfsm_violation *violation)
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
	event->policy = thread->policy;
	event->state = violation->state;
	event->pid = id >> 32;
	event->tid = (__u32)id;
	event->nr = violation->nr;
	event->verdict = violation->verdict;
	event->abi = violation->abi;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
}

#endif /* SYSFSM_EVENT_H */
