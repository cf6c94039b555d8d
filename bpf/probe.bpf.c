// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What is tried on a kernel before enforcement relies on it. Each feature has a program of its own,
 * loaded by itself, so that a feature that the kernel lacks does not hide another.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "sysfsm.h"

#define SYSFSM_EPERM 1

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* The process that tries. */
__u32 prober = 0;
/* The mechanisms that worked when enforcement began, a bit each (src/kernel/support/self_test.rs).
 * Not read here. */
__u32 working = 0;
/* The cgroup of the last process that tried, and those above it, the highest first. */
__u64 cgroups[SYSFSM_ENFORCER_CGROUPS] = {};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64);
} storage SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

SEC("tp_btf/sys_enter")
int try_tracepoint(void *ctx)
{
	return 0;
}

SEC("tp_btf/sys_enter")
int try_storage(void *ctx)
{
	__u64 *value = bpf_task_storage_get(&storage, bpf_get_current_task_btf(), 0,
					    BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (value)
		(*value)++;
	return 0;
}

SEC("tp_btf/sys_enter")
int try_ring(void *ctx)
{
	__u64 *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	if (record) {
		*record = 0;
		bpf_ringbuf_submit(record, 0);
	}
	return 0;
}

SEC("tp_btf/sys_enter")
int try_kill(void *ctx)
{
	/* Never true: only the verifier is asked. */
	if (prober == (__u32)-1)
		bpf_send_signal(9);
	return 0;
}

/* Where no program can be preempted (preempt.h). */
SEC("tracepoint/raw_syscalls/sys_enter")
int try_classic(void *ctx)
{
	return 0;
}

/* A template, as in veto.h: refuses the prober. */
SEC("tp_btf/sys_enter")
long try_veto(void *ctx)
{
	if ((bpf_get_current_pid_tgid() >> 32) != prober)
		return 0;
	for (int level = 0; level < SYSFSM_ENFORCER_CGROUPS; level++)
		cgroups[level] = bpf_get_current_ancestor_cgroup_id(level);
	return -SYSFSM_EPERM;
}
