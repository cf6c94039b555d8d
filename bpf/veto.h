/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Vetoes: the programs at the enforcement points. They carry out the enforcement state of the
 * current thread.
 *
 * Each program here is a template. It is loaded for a tracepoint whose arguments have the types
 * that the program reads, and is never attached there: its instructions are loaded again for every
 * enforcement point (src/kernel/lsm/enforcement_points.rs), as an LSM or a fmod_ret program.
 *
 * A veto returns 64 bits: the function of a system call returns a long, and an int of -1 would
 * reach user space as 4294967295.
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
#include "preempt.h"
#include "judge.h"
#include "kernel.h"
#include "switches.h"
#include "sysfsm.h"
#include "threads.h"

#define SYSFSM_EPERM 1
#define SYSFSM_MAY_WRITE 2 /* include/linux/fs.h */
#define SYSFSM_BPF_FS 0xcafe4a11 /* BPF_FS_MAGIC, include/uapi/linux/magic.h */
#define SYSFSM_KEY_NEED_SEARCH 4 /* include/linux/key.h */
#define SYSFSM_KEYCTL_INVALIDATE 21 /* include/uapi/linux/keyctl.h */
#define SYSFSM_CAP_SYS_RESOURCE 24 /* include/uapi/linux/capability.h */
/* PF_EXITING, PF_IO_WORKER, PF_DUMPCORE, PF_USER_WORKER, PF_KTHREAD (include/linux/sched.h) */
#define SYSFSM_PF_NO_CALL (0x4 | SYSFSM_PF_IO_WORKER | 0x200 | 0x4000 | 0x200000)
#define SYSFSM_PF_IO_WORKER 0x10

/* The thread group of the enforcer, or of the agent of what is pinned; 0: there is none. */
__u32 enforcer = 0;
/* False once enforcement has ended, while the vetoes that are left are being freed. */
bool enforcing = false;
/* Enforcement goes on after the enforcer has ended. */
bool pinned = false;

/* The maps, programs and links of the enforcer, that self-protection covers. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct sysfsm_object);
	__type(value, __u32);
} objects SEC(".maps");

/* Refuses. `meets`: that is what the denied call asks for. */
static __noinline long sysfsm_deny(struct sysfsm_thread *thread, bool meets)
{
	struct sysfsm_counters *counts = sysfsm_counters();

	if (counts)
		SYSFSM_COUNT(counts->vetoes);
	if (meets && thread->enforcement == SYSFSM_ENFORCE_DENY_PENDING)
		thread->enforcement = SYSFSM_ENFORCE_DENY;
	return -SYSFSM_EPERM;
}

/* The other threads of a killed process do nothing any more, nor do io_uring's workers, which do
 * what their process has asked for. */
static __always_inline void sysfsm_inherit_kill(struct task_struct *task,
						struct sysfsm_thread *thread)
{
	struct task_struct *leader = task->group_leader;
	struct sysfsm_thread *first = NULL;

	if (!leader || task->pid == task->tgid)
		return;
	first = bpf_task_storage_get(&watched_threads, leader, 0, 0);
	if (first && first->enforcement == SYSFSM_ENFORCE_KILL)
		sysfsm_enforce(thread, SYSFSM_ENFORCE_KILL);
}

/*
 * Whether the thread is still in the call that was denied. A call's result takes the place of what
 * was in ax, before anything else happens on the way out (do_syscall_64): what io_uring does there,
 * or a dump of core, is not the call's. An interrupt or an exception has no call's number.
 */
static __always_inline bool sysfsm_is_in_denied_call(struct task_struct *task,
						     const struct sysfsm_thread *thread)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);

	return (__u32)regs->orig_ax == thread->denied_nr && regs->ax == thread->denied_ax;
}

/* Whether a thread is refused what it asks for now. */
static __always_inline bool sysfsm_is_refused(struct task_struct *task,
					      struct sysfsm_thread *thread)
{
	if (!thread->enforcement)
		sysfsm_inherit_kill(task, thread);
	return thread->enforcement == SYSFSM_ENFORCE_KILL ||
	       (thread->enforcement && sysfsm_is_in_denied_call(task, thread));
}

/* Whether the task is in a call of the 64-bit table or, by its number there, of the 32-bit one. */
static __always_inline bool sysfsm_is_in_call(struct task_struct *task, __u32 nr, __u32 nr32)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);

	return regs->orig_ax == (task->thread_info.status & SYSFSM_TS_COMPAT ? nr32 : nr);
}

/*
 * The enforcement point of capabilities: security_capable(const struct cred *, struct
 * user_namespace *, int cap, ...). perf_event_open has a hook of its own, and would return EACCES
 * after a refusal here.
 *
 * The kernel asks for CAP_SYS_RESOURCE for no effect of the call's as well: when a page of a file
 * is written that the program has mapped, and its file system is nearly full. So of the calls that
 * are denied in part only prlimit64 is met by such a refusal.
 */
SEC("tp_btf/mm_page_alloc")
long veto_capability(__u64 *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	bool resource = (__u32)ctx[2] == SYSFSM_CAP_SYS_RESOURCE;
	struct sysfsm_thread *thread;
	long denial = 0;

	sysfsm_preempt_off();
	thread = sysfsm_thread(task);
	if (thread && enforcing && !sysfsm_is_in_call(task, 298, 336) &&
	    sysfsm_is_refused(task, thread))
		denial = sysfsm_deny(thread, !resource || sysfsm_is_in_call(task, 302, 340));
	sysfsm_preempt_on();
	return denial;
}

/*
 * Judges the call that a thread is in, if no program at sys_enter was shown the call. Then the call
 * is not the last one that was judged, or repeats that one, which is allowed. The kernel never
 * skips LSM programs (bpf_prog_check_recur, include/linux/bpf_verifier.h).
 */
static __noinline int sysfsm_judge_at_hook(struct task_struct *task, struct sysfsm_thread *thread)
{
	struct sysfsm_counters *counts = sysfsm_counters();
	struct pt_regs *regs;
	__u32 entered;
	int nr;

	/* A worker of io_uring's is in no call, nor is a task that ends or dumps core. */
	if (thread->entered == SYSFSM_NO_CALL || (task->flags & SYSFSM_PF_NO_CALL))
		return 0;
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	nr = regs->orig_ax;
	entered = sysfsm_entered(task, nr);
	/* Interrupts and exceptions have a negative number here. */
	if (nr < 0 || entered == thread->entered)
		return 0;
	/* The exec was judged when it came to its first hook, at the latest. */
	if (sysfsm_is_in_exec(task, entered)) {
		thread->entered = entered;
		return 0;
	}
	if (counts)
		SYSFSM_COUNT(counts->judged_at_hook);
	return sysfsm_judge(task, thread, regs, nr, false);
}

static __always_inline long sysfsm_judge_and_deny(bool judge)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct sysfsm_thread *thread = sysfsm_thread(task);

	if (!thread || !enforcing)
		return 0;
	/* A denial may belong to the call before the one that was missed. */
	if (judge && preemptible && thread->enforcement != SYSFSM_ENFORCE_KILL)
		sysfsm_judge_at_hook(task, thread);
	return sysfsm_is_refused(task, thread) ? sysfsm_deny(thread, true) : 0;
}

/* Refuses what the current thread asks for in its call, if that is its enforcement state. `judge`:
 * the call may have to be judged first. */
static __always_inline long sysfsm_veto(bool judge)
{
	long denial;

	/* The kernel skips programs on functions as those of tracepoints; those on hooks never. */
	sysfsm_preempt_off();
	denial = sysfsm_judge_and_deny(judge);
	sysfsm_preempt_on();
	return denial;
}

/* Most enforcement points. */
SEC("tp_btf/sys_enter")
long veto(void *ctx)
{
	return sysfsm_veto(false);
}

/* Most enforcement points, where the kernel can skip the programs at sys_enter. This program
 * contains the whole step: hundreds of copies take several times as long to load as those of
 * `veto`. */
SEC("tp_btf/sys_enter")
long veto_judging(void *ctx)
{
	return sysfsm_veto(true);
}

/* Whether the task is in keyctl(KEYCTL_INVALIDATE): 250, in the 32-bit table 288. */
static __always_inline bool sysfsm_invalidates_key(struct task_struct *task)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);

	if (task->thread_info.status & SYSFSM_TS_COMPAT)
		return regs->orig_ax == 288 && (__u32)regs->bx == SYSFSM_KEYCTL_INVALIDATE;
	return regs->orig_ax == 250 && (__u32)regs->di == SYSFSM_KEYCTL_INVALIDATE;
}

/*
 * security_key_permission(key_ref_t, const struct cred *, enum key_need_perm). A search does not
 * use a key. A search that is refused finds nothing: the call would report that rather than EPERM
 * (keyring_search_rcu, security/keys/keyring.c). But the right to search is all that is asked for
 * to invalidate a key (keyctl_invalidate_key, security/keys/keyctl.c).
 */
SEC("tp_btf/mm_page_alloc")
long veto_key(__u64 *ctx)
{
	if ((__u32)ctx[2] == SYSFSM_KEY_NEED_SEARCH &&
	    !sysfsm_invalidates_key(bpf_get_current_task_btf()))
		return 0;
	return sysfsm_veto(true);
}

static __noinline long sysfsm_protection(void)
{
	struct sysfsm_counters *counts = sysfsm_counters();

	if (counts)
		SYSFSM_COUNT(counts->protections);
	return -SYSFSM_EPERM;
}

/* Refuses to a watched thread what it tries on the enforcer. */
static __always_inline long sysfsm_protect(void)
{
	if (!enforcing || !sysfsm_thread(bpf_get_current_task_btf()))
		return 0;
	return sysfsm_protection();
}

/* Enforcement points whose first argument is the task that something is done to. */
SEC("tp_btf/sched_process_exec")
long protect_task(__u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];

	return enforcer && (__u32)task->tgid == enforcer ? sysfsm_protect() : 0;
}

/*
 * The enforcement point of signals that a descriptor sends when it is ready (F_SETOWN, F_SETSIG):
 * the current task is not the one that has asked for them. The enforcer asks for none.
 */
SEC("tp_btf/sched_process_exec")
long protect_owner(__u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];

	return enforcer && (__u32)task->tgid == enforcer ? sysfsm_protection() : 0;
}

/* Enforcement points whose first argument is the directory that something is removed from: what is
 * pinned in a bpf file system may be the enforcer's. */
SEC("tp_btf/sched_process_exec")
long protect_pins(__u64 *ctx)
{
	struct inode *directory = (struct inode *)ctx[0];

	if (!pinned || BPF_CORE_READ(directory, i_sb, s_magic) != SYSFSM_BPF_FS)
		return 0;
	return sysfsm_protect();
}

/* Enforcement points whose first argument is a mount that is to be removed. */
SEC("tp_btf/sched_process_exec")
long protect_mount(__u64 *ctx)
{
	struct vfsmount *mount = (struct vfsmount *)ctx[0];

	if (!pinned || BPF_CORE_READ(mount, mnt_sb, s_magic) != SYSFSM_BPF_FS)
		return 0;
	return sysfsm_protect();
}

/* Types of programs that can read any memory of the kernel, the enforcer's maps too, or that run
 * where its programs do. */
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

	/* The first word of bpf_attr is the object's id, or the program's type. */
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
		/* The path is in user memory, which may change: so nothing that is pinned. */
		return pinned ? sysfsm_protect() : 0;
	case BPF_PROG_LOAD:
		return sysfsm_sees_all(first) ? sysfsm_protect() : 0;
	default:
		return 0;
	}
	object.id = first;
	return bpf_map_lookup_elem(&objects, &object) ? sysfsm_protect() : 0;
}

/* A veto at a write, which also keeps watched threads from the kernel's switches. */
static __always_inline long sysfsm_veto_write(struct file *file, __u32 mask, bool judge)
{
	long denial = sysfsm_veto(judge);

	if (denial || !(mask & SYSFSM_MAY_WRITE) || !sysfsm_thread(bpf_get_current_task_btf()))
		return denial;
	return sysfsm_is_switch(file, enforcer) ? sysfsm_protect() : 0;
}

/*
 * security_file_permission(struct file *, int mask), typed as
 * file_check_and_advance_wb_err(struct file *, errseq_t). The kernel asks at each write, so that it
 * does not matter how and when the file was opened.
 */
SEC("tp_btf/file_check_and_advance_wb_err")
long veto_write(__u64 *ctx)
{
	return sysfsm_veto_write((struct file *)ctx[0], ctx[1], false);
}

/* The same hook, where the kernel can skip the programs at sys_enter. */
SEC("tp_btf/file_check_and_advance_wb_err")
long veto_write_judging(__u64 *ctx)
{
	return sysfsm_veto_write((struct file *)ctx[0], ctx[1], true);
}

/* security_locked_down(enum lockdown_reason), typed as signal_deliver(int, ...). */
SEC("tp_btf/signal_deliver")
long protect_lockdown(__u64 *ctx)
{
	return sysfsm_changes_kernel(ctx[0]) ? sysfsm_protect() : 0;
}

/* security_kernel_load_data(enum kernel_load_data_id, bool). */
SEC("tp_btf/signal_deliver")
long protect_load_data(__u64 *ctx)
{
	return sysfsm_loads_code(ctx[0]) ? sysfsm_protect() : 0;
}

/* security_kernel_read_file(struct file *, enum kernel_read_file_id, bool), typed as
 * mm_page_alloc(struct page *, unsigned int, ...). */
SEC("tp_btf/mm_page_alloc")
long protect_read_file(__u64 *ctx)
{
	return sysfsm_reads_code(ctx[1]) ? sysfsm_protect() : 0;
}

#endif /* SYSFSM_VETO_H */
