// SPDX-License-Identifier: GPL-2.0
/*
 * The programs: what happens to a thread (exec, birth, signal, system call) becomes a step, and a
 * violation becomes an event and a SIGKILL.
 *
 * BTF tracepoints and nothing else: tracefs and perf events are often locked down.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "sysfsm.h"
#include "kernel.h"
#include "maps.h"
#include "step.h"

#define SYSFSM_SIGKILL 9
#define SYSFSM_TS_COMPAT 0x0002 /* arch/x86/include/asm/thread_info.h */
#define SYSFSM_X32_BIT 0x40000000u /* __X32_SYSCALL_BIT */
#define SYSFSM_SIGN_BIT 0x80000000u /* a number below zero is of no ABI, just unknown */
#define SYSFSM_HANDLER_MIN 2 /* 0 is SIG_DFL, 1 is SIG_IGN */

char LICENSE[] SEC("license") = "GPL";

/* Whether there are policies of these kinds, so that an exec does not look for them in vain. */
const volatile bool names_used = false;
const volatile bool scripts_used = false;

/* State of the watched threads. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct sysfsm_thread);
} threads SEC(".maps");

/* Which policy an executable has: by its file, by its file's name, by a script's path. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct sysfsm_file);
	__type(value, __u32);
} binaries SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct sysfsm_name);
	__type(value, __u32);
} names SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct sysfsm_script);
	__type(value, __u32);
} scripts SEC(".maps");

/* Process id → what it is taken for, while running processes are adopted. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, __u32);
	__type(value, struct sysfsm_adoptee);
} adoptees SEC(".maps");

/* Keys too large for the stack. */
union sysfsm_scratch {
	struct sysfsm_name name;
	struct sysfsm_script script;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, union sysfsm_scratch);
} scratches SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

/* Puts the event's type into the BTF, from which the skeleton makes the Rust type. */
const struct sysfsm_event *event_type = NULL;

static __always_inline struct sysfsm_thread *sysfsm_thread(struct task_struct *task)
{
	struct sysfsm_thread *thread;

	/* No storage of any kind: not watched. */
	if (!task->bpf_storage)
		return NULL;
	thread = bpf_task_storage_get(&threads, task, 0, 0);
	return thread && thread->policy ? thread : NULL;
}

static __always_inline void sysfsm_file(struct sysfsm_file *key, struct inode *inode)
{
	key->inode = inode->i_ino;
	key->device = inode->i_sb->s_dev;
	key->pad = 0;
}

/*
 * A thread that has to be watched and cannot be, for want of memory: it must not go on unwatched
 * (unless watching is all that there is).
 * Seen for tasks that are born or exec while another task of this CPU is inside the same helper
 * (bpf_task_storage_trylock, kernel/bpf/bpf_task_storage.c).
 */
static __noinline int sysfsm_refuse(bool only_log)
{
	struct sysfsm_counters *counts = sysfsm_counters();

	if (counts)
		counts->threads_refused++;
	return only_log ? 0 : bpf_send_signal(SYSFSM_SIGKILL);
}

/* A call that was judged to be a violation. */
struct sysfsm_violation {
	__u32 nr;
	__u32 state; /* of the thread, before the call */
	__u8 verdict;
	__u8 abi;
};

static __noinline int sysfsm_report(struct sysfsm_thread *thread, struct pt_regs *regs,
				    const struct sysfsm_violation *violation)
{
	struct sysfsm_counters *counts = sysfsm_counters();
	__u64 id = bpf_get_current_pid_tgid();
	struct sysfsm_event *event;
	__u8 kill_failed = 0;

	if (!counts)
		return 0;
	counts->violations++;
	if (!thread->follow) {
		/* Fails for the machine's first process, and in an exiting one. */
		kill_failed = bpf_send_signal(SYSFSM_SIGKILL) != 0;
		if (kill_failed)
			counts->kills_failed++;
		else
			counts->kills++;
	}
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		counts->events_lost++;
		return 0;
	}
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
	event->action = thread->follow ? SYSFSM_LOG : SYSFSM_KILL;
	event->kill_failed = kill_failed;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(handle_sys_enter, struct pt_regs *regs, long id)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct sysfsm_thread *thread = sysfsm_thread(task);
	struct sysfsm_violation violation = { .nr = id };
	struct sysfsm_counters *counts;
	__u32 nr = id;

	if (!thread)
		return 0;
	counts = sysfsm_counters();
	if (counts)
		counts->judged++;
	violation.state = thread->top.state;
	if (task->thread_info.status & SYSFSM_TS_COMPAT)
		violation.abi = SYSFSM_I386;
	else if ((nr & SYSFSM_X32_BIT) && !(nr & SYSFSM_SIGN_BIT))
		violation.abi = SYSFSM_X32;
	if (violation.abi == SYSFSM_X86_64)
		violation.verdict = sysfsm_call(thread, nr);
	else
		violation.verdict = sysfsm_foreign(thread);
	if (violation.verdict != SYSFSM_ALLOWED)
		sysfsm_report(thread, regs, &violation);
	return 0;
}

/*
 * A script's policy, by the path of the exec: the interpreter's file is all that the kernel still
 * has of it here (fs/exec.c, exec_binprm). The path counts from the root or the working directory.
 */
static __noinline __u32 sysfsm_find_script(struct linux_binprm *bprm, union sysfsm_scratch *scratch)
{
	struct task_struct *task = bpf_get_current_task_btf();
	const char *path = bprm->filename;
	char head[2] = {};
	const __u32 *index;

	if (bpf_probe_read_kernel(head, sizeof(head), path))
		return 0;
	__builtin_memset(&scratch->script, 0, sizeof(scratch->script));
	sysfsm_file(&scratch->script.from, head[0] == '/' ? task->fs->root.dentry->d_inode
							  : task->fs->pwd.dentry->d_inode);
	for (int i = 0; i < 4; i++) {
		if (head[0] == '/')
			path += 1;
		else if (head[0] == '.' && head[1] == '/')
			path += 2;
		else
			break;
		if (bpf_probe_read_kernel(head, sizeof(head), path))
			return 0;
	}
	if (bpf_probe_read_kernel_str(scratch->script.path, sizeof(scratch->script.path), path) < 0)
		return 0;
	index = bpf_map_lookup_elem(&scripts, &scratch->script);
	return index ? *index : 0;
}

static __noinline __u32 sysfsm_find_name(const unsigned char *name, union sysfsm_scratch *scratch)
{
	const __u32 *index;

	__builtin_memset(&scratch->name, 0, sizeof(scratch->name));
	if (bpf_probe_read_kernel_str(scratch->name.text, sizeof(scratch->name.text), name) < 0)
		return 0;
	index = bpf_map_lookup_elem(&names, &scratch->name);
	return index ? *index : 0;
}

/* The last component of the path of an exec. */
static __always_inline const unsigned char *sysfsm_basename(const char *path,
							    union sysfsm_scratch *scratch)
{
	__u64 last = 0;
	__u64 slash;

	__builtin_memset(&scratch->script, 0, sizeof(scratch->script));
	if (bpf_probe_read_kernel_str(scratch->script.path, SYSFSM_PATH, path) < 0)
		return (const unsigned char *)path;
	for (__u64 i = 0; i < SYSFSM_PATH; i++) {
		/* All ones at a slash. Without a branch: the verifier would follow 2^256 ways. */
		slash = ((__u64)(__u8)(scratch->script.path[i] ^ '/') - 1) >> 63;
		slash = -slash;
		barrier_var(slash);
		last = (last & ~slash) | ((i + 1) & slash);
	}
	return (const unsigned char *)path + last;
}

/* The policy of the binary that was just exec'd, or 0. */
static __always_inline __u32 sysfsm_find(struct linux_binprm *bprm)
{
	/* An interpreter came in between: a script has the policy of its own path. */
	bool script = bprm->interp != bprm->filename;
	union sysfsm_scratch *scratch;
	struct sysfsm_file key = {};
	const __u32 *index;
	__u32 found = 0;
	__u32 zero = 0;

	scratch = bpf_map_lookup_elem(&scratches, &zero);
	if (!scratch)
		return 0;
	if (!script) {
		sysfsm_file(&key, bprm->file->f_inode);
		index = bpf_map_lookup_elem(&binaries, &key);
		found = index ? *index : 0;
	} else if (scripts_used) {
		found = sysfsm_find_script(bprm, scratch);
	}
	if (found || !names_used)
		return found;
	return sysfsm_find_name(script ? sysfsm_basename(bprm->filename, scratch)
				       : bprm->file->f_path.dentry->d_name.name,
				scratch);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(handle_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	struct sysfsm_thread *thread = sysfsm_thread(task);
	const struct sysfsm_policy *policy;
	__u32 index = sysfsm_find(bprm);

	if (!index && thread) {
		index = thread->policy;
		policy = bpf_map_lookup_elem(&policies, &index);
		if (!policy || !policy->inherit) {
			/* The deletion may fail for a moment (see sysfsm_refuse); this does not. */
			thread->policy = 0;
			bpf_task_storage_delete(&threads, task);
			return 0;
		}
	}
	if (!index)
		return 0;
	policy = bpf_map_lookup_elem(&policies, &index);
	if (!policy)
		return 0;
	if (!thread)
		thread = bpf_task_storage_get(&threads, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!thread) {
		sysfsm_refuse(policy->action == SYSFSM_LOG);
		return 0;
	}
	sysfsm_bind(thread, index, policy, false);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(handle_newtask, struct task_struct *task, unsigned long clone_flags)
{
	struct sysfsm_thread *parent = sysfsm_thread(bpf_get_current_task_btf());

	/* The copy is taken inside the creator's call, so its last symbol is that call. */
	if (parent && !bpf_task_storage_get(&threads, task, parent, BPF_LOCAL_STORAGE_GET_F_CREATE))
		sysfsm_refuse(parent->follow);
	return 0;
}

SEC("tp_btf/signal_deliver")
int BPF_PROG(handle_signal, int sig, struct kernel_siginfo *info, struct k_sigaction *action)
{
	struct sysfsm_thread *thread = sysfsm_thread(bpf_get_current_task_btf());

	if (thread && (unsigned long)action->sa.sa_handler >= SYSFSM_HANDLER_MIN)
		sysfsm_signal(thread, sig);
	return 0;
}

SEC("iter/task")
int handle_adopt(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	const struct sysfsm_adoptee *adoptee;
	const struct sysfsm_policy *policy;
	struct sysfsm_counters *counts;
	struct sysfsm_thread *thread;
	struct sysfsm_file exe = {};
	struct file *file;
	__u32 index;

	if (!task)
		return 0;
	index = task->tgid;
	adoptee = bpf_map_lookup_elem(&adoptees, &index);
	if (!adoptee || !task->mm)
		return 0;
	file = task->mm->exe_file;
	if (!file)
		return 0;
	/* It may have exec'd since user space looked. */
	sysfsm_file(&exe, file->f_inode);
	if (exe.inode != adoptee->exe.inode || exe.device != adoptee->exe.device)
		return 0;
	index = adoptee->policy;
	policy = bpf_map_lookup_elem(&policies, &index);
	if (!policy)
		return 0;
	thread = bpf_task_storage_get(&threads, task, 0, 0);
	if (thread)
		return 0;
	thread = bpf_task_storage_get(&threads, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!thread)
		return 0;
	sysfsm_bind(thread, index, policy, true);
	counts = sysfsm_counters();
	if (counts)
		counts->adopted++;
	return 0;
}
