// SPDX-License-Identifier: GPL-2.0 OR MIT
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

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Whether there are policies of these kinds, so that an exec does not look for them in vain. */
const volatile bool names_used = false;
const volatile bool scripts_used = false;
/* For the tests: no thread gets storage, so that every one is a spare. */
const volatile bool spares_only = false;

/* State of the watched threads. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct sysfsm_thread);
} threads SEC(".maps");

/*
 * State of watched threads that got no storage when they were born or exec'd: creation fails while
 * this CPU is inside the storage's code for another task, of an exiting one, say
 * (bpf_task_storage_trylock, kernel/bpf/bpf_task_storage.c). They move there at their next call.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct sysfsm_tid);
	__type(value, struct sysfsm_thread);
} spares SEC(".maps");

/* How many they are: nobody looks for one in vain. */
__u64 spares_used = 0;

/* A thread of zeros, to begin one with: too large for the stack. Never written. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sysfsm_thread);
} blanks SEC(".maps");

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

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

/* Puts the event's type into the BTF, from which the skeleton makes the Rust type. */
const struct sysfsm_event *event_type = NULL;

static __always_inline struct sysfsm_tid sysfsm_tid(struct task_struct *task)
{
	struct sysfsm_tid tid = { .began = task->start_time, .tid = task->pid };

	return tid;
}

static __noinline struct sysfsm_thread *sysfsm_spare(struct task_struct *task)
{
	struct sysfsm_tid tid = sysfsm_tid(task);

	return bpf_map_lookup_elem(&spares, &tid);
}

static __noinline int sysfsm_spare_delete(struct task_struct *task)
{
	struct sysfsm_tid tid = sysfsm_tid(task);

	if (!bpf_map_delete_elem(&spares, &tid))
		__sync_fetch_and_add(&spares_used, -1);
	return 0;
}

/* The state of a thread, NULL if it is not watched. */
static __always_inline struct sysfsm_thread *sysfsm_thread(struct task_struct *task)
{
	struct sysfsm_thread *thread = NULL;

	if (task->bpf_storage)
		thread = bpf_task_storage_get(&threads, task, 0, 0);
	if (!thread && spares_used)
		thread = sysfsm_spare(task);
	return thread && thread->policy ? thread : NULL;
}

/*
 * A thread that has to be watched and cannot be, both places having no room: it must not go on
 * unwatched (unless watching is all that there is).
 */
static __noinline int sysfsm_refuse(bool only_log)
{
	struct sysfsm_counters *counts = sysfsm_counters();

	if (counts)
		counts->threads_refused++;
	return only_log ? 0 : bpf_send_signal(SYSFSM_SIGKILL);
}

/* Begins to watch a thread, its state a copy of `from`. NULL if there is no room. */
static __always_inline struct sysfsm_thread *sysfsm_watch(struct task_struct *task,
							  struct sysfsm_thread *from)
{
	struct sysfsm_thread *thread = NULL;
	struct sysfsm_counters *counts;
	struct sysfsm_tid tid;

	if (!spares_only)
		thread = bpf_task_storage_get(&threads, task, from, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (thread)
		return thread;
	tid = sysfsm_tid(task);
	if (bpf_map_update_elem(&spares, &tid, from, BPF_NOEXIST))
		return NULL;
	__sync_fetch_and_add(&spares_used, 1);
	counts = sysfsm_counters();
	if (counts)
		counts->spares++;
	return bpf_map_lookup_elem(&spares, &tid);
}

/* The same, from zero: to be bound. What a former policy has left is overwritten. */
static __always_inline struct sysfsm_thread *sysfsm_begin(struct task_struct *task)
{
	struct sysfsm_thread *thread = NULL;
	struct sysfsm_thread *blank;
	__u32 zero = 0;

	if (task->bpf_storage)
		thread = bpf_task_storage_get(&threads, task, 0, 0);
	if (thread)
		return thread;
	blank = bpf_map_lookup_elem(&blanks, &zero);
	return blank ? sysfsm_watch(task, blank) : NULL;
}

/* Gives a spare its storage, if there is any now. */
static __noinline int sysfsm_settle(struct task_struct *task)
{
	struct sysfsm_thread *spare = sysfsm_spare(task);

	if (spare && bpf_task_storage_get(&threads, task, spare, BPF_LOCAL_STORAGE_GET_F_CREATE))
		sysfsm_spare_delete(task);
	return 0;
}

/* No more a watched thread. */
static __always_inline void sysfsm_release(struct task_struct *task, struct sysfsm_thread *thread)
{
	/* The deletions may fail for a moment; this does not. */
	thread->policy = 0;
	bpf_task_storage_delete(&threads, task);
	if (spares_used)
		sysfsm_spare_delete(task);
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
	if (spares_used && !spares_only) {
		sysfsm_settle(task);
		thread = sysfsm_thread(task);
		if (!thread)
			return 0;
	}
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
static __noinline __u32 sysfsm_find_script(struct linux_binprm *bprm)
{
	struct task_struct *task = bpf_get_current_task_btf();
	const char *path = bprm->filename;
	struct sysfsm_script key = {};
	const __u32 *index;
	char head[2] = {};

	if (bpf_probe_read_kernel(head, sizeof(head), path))
		return 0;
	sysfsm_file(&key.from, head[0] == '/' ? task->fs->root.dentry->d_inode
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
	if (bpf_probe_read_kernel_str(key.path, sizeof(key.path), path) < 0)
		return 0;
	index = bpf_map_lookup_elem(&scripts, &key);
	return index ? *index : 0;
}

/* The bytes of a path up to the end of its last slash. Without a branch: the verifier would follow
 * 2^256 ways.
 */
static __always_inline __u64 sysfsm_directory(const char *text)
{
	__u64 last = 0;
	__u64 slash;

	for (__u64 i = 0; i < SYSFSM_NAME; i++) {
		/* All ones at a slash. */
		slash = ((__u64)(__u8)(text[i] ^ '/') - 1) >> 63;
		slash = -slash;
		barrier_var(slash);
		last = (last & ~slash) | ((i + 1) & slash);
	}
	return last;
}

static __noinline __u32 sysfsm_find_name(struct linux_binprm *bprm)
{
	const char *name = (const char *)bprm->file->f_path.dentry->d_name.name;
	/* One text for the path and the name: the calls of a program share 512 bytes of stack. */
	struct sysfsm_name key = {};
	const __u32 *index;

	/* Of a script only the path of the exec is left. */
	if (bprm->interp != bprm->filename) {
		name = bprm->filename;
		if (bpf_probe_read_kernel_str(key.text, sizeof(key.text), name) < 0)
			return 0;
		name += sysfsm_directory(key.text);
		__builtin_memset(&key, 0, sizeof(key));
	}
	if (bpf_probe_read_kernel_str(key.text, sizeof(key.text), name) < 0)
		return 0;
	index = bpf_map_lookup_elem(&names, &key);
	return index ? *index : 0;
}

/* The policy of the binary that was just exec'd, or 0. */
static __always_inline __u32 sysfsm_find(struct linux_binprm *bprm)
{
	struct sysfsm_file key;
	const __u32 *index;
	__u32 found = 0;

	if (bprm->interp == bprm->filename) {
		sysfsm_file(&key, bprm->file->f_inode);
		index = bpf_map_lookup_elem(&binaries, &key);
		found = index ? *index : 0;
	} else if (scripts_used) {
		/* An interpreter came in between: a script has the policy of its own path. */
		found = sysfsm_find_script(bprm);
	}
	return found || !names_used ? found : sysfsm_find_name(bprm);
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
			sysfsm_release(task, thread);
			return 0;
		}
	}
	if (!index)
		return 0;
	policy = bpf_map_lookup_elem(&policies, &index);
	if (!policy)
		return 0;
	if (!thread)
		thread = sysfsm_begin(task);
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
	if (parent && !sysfsm_watch(task, parent))
		sysfsm_refuse(parent->follow);
	return 0;
}

/* Nothing is left in the spares of one that ends before its first call. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(handle_exit, struct task_struct *task)
{
	if (spares_used)
		sysfsm_spare_delete(task);
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

/* The id of a task's process in the namespace of the process that reads, 0 if it has none there. */
static __always_inline __u32 sysfsm_pid_here(struct task_struct *task)
{
	struct pid *reader = bpf_get_current_task_btf()->thread_pid;
	struct pid *pid = task->group_leader->thread_pid;
	struct upid there = {};
	struct upid here = {};
	__u32 level;

	if (!reader || !pid)
		return 0;
	level = reader->level;
	if (pid->level < level)
		return 0;
	if (bpf_probe_read_kernel(&here, sizeof(here), &reader->numbers[0] + level) ||
	    bpf_probe_read_kernel(&there, sizeof(there), &pid->numbers[0] + level))
		return 0;
	return here.ns == there.ns ? there.nr : 0;
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
	index = sysfsm_pid_here(task);
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
	if (!policy || sysfsm_thread(task))
		return 0;
	counts = sysfsm_counters();
	thread = sysfsm_begin(task);
	if (thread)
		sysfsm_bind(thread, index, policy, true);
	/* User space takes a refusal for an error: nobody is killed before enforcement began. */
	if (thread && counts)
		counts->adopted++;
	else if (counts)
		counts->threads_refused++;
	return 0;
}
