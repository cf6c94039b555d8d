/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Vetoes: what runs at the choke points. They decide nothing, they ask for the thread's sentence.
 *
 * Each program here is a template: it is loaded for a tracepoint whose arguments have the types
 * that it reads, is never attached there, and its instructions are loaded once more for every choke
 * point (src/kernel/lsm/enforcement_points.rs) as an LSM program or as a fmod_ret program.
 *
 * A veto returns 64 bits: a system call's function returns a long, and an int of -1 would reach
 * user space as 4294967295.
 */
#ifndef SYSFSM_VETO_H
#define SYSFSM_VETO_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

#include "abi.h"
#include "counters.h"
#include "hold.h"
#include "judge.h"
#include "kernel.h"
#include "sysfsm.h"
#include "threads.h"

#define SYSFSM_EPERM 1
#define SYSFSM_BPF_FS 0xcafe4a11 /* BPF_FS_MAGIC, include/uapi/linux/magic.h */
#define SYSFSM_KEY_NEED_SEARCH 4 /* include/linux/key.h */
/* PF_EXITING, PF_IO_WORKER, PF_DUMPCORE, PF_USER_WORKER, PF_KTHREAD (include/linux/sched.h) */
#define SYSFSM_PF_NO_CALL (0x4 | SYSFSM_PF_IO_WORKER | 0x200 | 0x4000 | 0x200000)
#define SYSFSM_PF_IO_WORKER 0x10

/* The thread group of the enforcer, or of who attends to what is pinned; 0: nobody does. */
__u32 enforcer = 0;
/* Not when enforcement has ended, and what is left of the vetoes is being freed. */
bool enforcing = false;
/* Enforcement goes on when the enforcer has ended. */
bool pinned = false;

/* The enforcer's maps, programs and links. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct sysfsm_object);
	__type(value, __u32);
} objects SEC(".maps");

static __noinline long sysfsm_refusal(struct sysfsm_thread *thread)
{
	struct sysfsm_counters *counts = sysfsm_counters();

	if (counts)
		SYSFSM_COUNT(counts->vetoes);
	if (thread->sentence == SYSFSM_UNMET)
		thread->sentence = SYSFSM_DENIED;
	return -SYSFSM_EPERM;
}

/* io_uring's workers do what their process has asked for: if it is condemned, nothing any more. */
static __always_inline void sysfsm_join(struct task_struct *task, struct sysfsm_thread *thread)
{
	struct task_struct *leader = task->group_leader;
	struct sysfsm_thread *first = NULL;

	if (!(task->flags & SYSFSM_PF_IO_WORKER) || !leader)
		return;
	first = bpf_task_storage_get(&threads, leader, 0, 0);
	if (first && first->sentence == SYSFSM_CONDEMNED)
		thread->sentence = SYSFSM_CONDEMNED;
}

/* Whether the task is in perf_event_open: 298, of the 32-bit table 336. */
static __always_inline bool sysfsm_opens_perf(struct task_struct *task)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);

	return regs->orig_ax == (task->thread_info.status & SYSFSM_TS_COMPAT ? 336 : 298);
}

/*
 * The right to do something. The kernel asks for it outside of system calls as well: when a page is
 * written to a file system that is nearly full, say. perf_event_open, which has a hook of its own,
 * would make EACCES of a refusal here.
 */
SEC("tp_btf/sys_enter")
long veto_capability(void *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct sysfsm_thread *thread;
	long answer = 0;

	sysfsm_hold();
	thread = sysfsm_thread(task);
	if (thread && thread->sentence && enforcing && !sysfsm_opens_perf(task))
		answer = sysfsm_refusal(thread);
	sysfsm_let_go();
	return answer;
}

/*
 * Judges the call that a thread is in, if no program at sys_enter was shown it:
 * then it is another than the last one judged, or its repetition, which is allowed. LSM programs
 * are never left out (bpf_prog_check_recur, include/linux/bpf_verifier.h).
 */
static __noinline int sysfsm_catch_up(struct task_struct *task, struct sysfsm_thread *thread)
{
	struct sysfsm_counters *counts = sysfsm_counters();
	struct pt_regs *regs;
	int nr;

	/* A worker of io_uring's is in no call, nor is who ends or dumps core. */
	if (thread->entered == SYSFSM_NO_CALL || (task->flags & SYSFSM_PF_NO_CALL))
		return 0;
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	nr = regs->orig_ax;
	/* What interrupted the thread has a negative number here. */
	if (nr < 0 || sysfsm_entered(task, nr) == thread->entered)
		return 0;
	if (counts)
		SYSFSM_COUNT(counts->caught_up);
	return sysfsm_judge(task, thread, regs, nr, false);
}

static __always_inline long sysfsm_answer(bool late)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct sysfsm_thread *thread = sysfsm_thread(task);

	if (!thread || !enforcing)
		return 0;
	/* A denial may be that of the call before the one that was missed. */
	if (late && preemptible && thread->sentence != SYSFSM_CONDEMNED)
		sysfsm_catch_up(task, thread);
	sysfsm_join(task, thread);
	return thread->sentence ? sysfsm_refusal(thread) : 0;
}

/* Whether the current thread is refused what it asks for in its call; `late`: which may have to be
 * judged first. */
static __always_inline long sysfsm_veto(bool late)
{
	long answer;

	/* Programs on functions are left out as those of tracepoints are, programs on hooks never.
	 */
	sysfsm_hold();
	answer = sysfsm_answer(late);
	sysfsm_let_go();
	return answer;
}

/* A choke point as most are. */
SEC("tp_btf/sys_enter")
long veto(void *ctx)
{
	return sysfsm_veto(false);
}

/* The same where programs at sys_enter can be left out. It has the whole step in it: hundreds of
 * these take several times as long to load. */
SEC("tp_btf/sys_enter")
long veto_late(void *ctx)
{
	return sysfsm_veto(true);
}

/*
 * security_key_permission(key_ref_t, const struct cred *, enum key_need_perm). A search is no use
 * of a key, and one that is refused finds nothing: the call would say so, and not EPERM
 * (keyring_search_rcu, security/keys/keyring.c).
 */
SEC("tp_btf/mm_page_alloc")
long veto_key(__u64 *ctx)
{
	return (__u32)ctx[2] == SYSFSM_KEY_NEED_SEARCH ? 0 : sysfsm_veto(true);
}

static __noinline long sysfsm_protection(void)
{
	struct sysfsm_counters *counts = sysfsm_counters();

	if (counts)
		SYSFSM_COUNT(counts->protections);
	return -SYSFSM_EPERM;
}

/* Refuses a watched thread what it tries on the enforcer. */
static __always_inline long sysfsm_protect(void)
{
	if (!enforcing || !sysfsm_thread(bpf_get_current_task_btf()))
		return 0;
	return sysfsm_protection();
}

/* A choke point whose first argument is the task that something is done to. */
SEC("tp_btf/sched_process_exec")
long protect_task(__u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];

	return enforcer && (__u32)task->tgid == enforcer ? sysfsm_protect() : 0;
}

/*
 * The same where whoever has asked for it is not the current task: a descriptor's signals of input
 * (F_SETOWN, F_SETSIG) come when it is ready. The enforcer asks for none.
 */
SEC("tp_btf/sched_process_exec")
long protect_owner(__u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];

	return enforcer && (__u32)task->tgid == enforcer ? sysfsm_protection() : 0;
}

/* A choke point whose first argument is the directory that something goes from: of a bpf file
 * system, where what is pinned may be ours. */
SEC("tp_btf/sched_process_exec")
long protect_pins(__u64 *ctx)
{
	struct inode *directory = (struct inode *)ctx[0];

	if (!pinned || BPF_CORE_READ(directory, i_sb, s_magic) != SYSFSM_BPF_FS)
		return 0;
	return sysfsm_protect();
}

/* The same where it is a mount, that is to go itself. */
SEC("tp_btf/sched_process_exec")
long protect_mount(__u64 *ctx)
{
	struct vfsmount *mount = (struct vfsmount *)ctx[0];

	if (!pinned || BPF_CORE_READ(mount, mnt_sb, s_magic) != SYSFSM_BPF_FS)
		return 0;
	return sysfsm_protect();
}

/* Programs that read any memory of the kernel, our maps too, or run where ours do. */
static __always_inline bool sysfsm_sees_all(__u32 type)
{
	switch (type) {
	case BPF_PROG_TYPE_KPROBE:
	case BPF_PROG_TYPE_TRACEPOINT:
	case BPF_PROG_TYPE_PERF_EVENT:
	case BPF_PROG_TYPE_RAW_TRACEPOINT:
	case BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE:
	case BPF_PROG_TYPE_TRACING:
	case BPF_PROG_TYPE_STRUCT_OPS:
	case BPF_PROG_TYPE_EXT:
	case BPF_PROG_TYPE_LSM:
	case BPF_PROG_TYPE_SYSCALL:
		return true;
	default:
		return false;
	}
}

/* security_bpf(int cmd, union bpf_attr *attr, ...), typed as signal_deliver(int, struct *, ...). */
SEC("tp_btf/signal_deliver")
long protect_bpf(__u64 *ctx)
{
	struct sysfsm_object object = {};
	__u32 first;

	/* An object's id and a program's type are the first word of their commands. */
	if (bpf_probe_read_kernel(&first, sizeof(first), (void *)ctx[1]))
		return 0;
	switch ((__u32)ctx[0]) {
	case BPF_MAP_GET_FD_BY_ID:
		object.kind = SYSFSM_MAP;
		break;
	case BPF_PROG_GET_FD_BY_ID:
		object.kind = SYSFSM_PROGRAM;
		break;
	case BPF_LINK_GET_FD_BY_ID:
		object.kind = SYSFSM_LINK;
		break;
	case BPF_OBJ_GET:
		/* Of what path, is user memory that may change: nothing that is pinned. */
		return pinned ? sysfsm_protect() : 0;
	case BPF_PROG_LOAD:
		return sysfsm_sees_all(first) ? sysfsm_protect() : 0;
	default:
		return 0;
	}
	object.id = first;
	return bpf_map_lookup_elem(&objects, &object) ? sysfsm_protect() : 0;
}

#endif /* SYSFSM_VETO_H */
