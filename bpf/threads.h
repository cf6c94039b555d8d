/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Where the states of the watched threads are, and how they are found, begun and released. */
#ifndef SYSFSM_THREADS_H
#define SYSFSM_THREADS_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "counters.h"
#include "kernel.h"
#include "signal.h"
#include "sysfsm.h"

/* For the tests: no thread gets storage, so that every state is in the fallback map. */
const volatile bool fallbacks_only = false;

/* State of the watched threads. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct sysfsm_thread);
} watched_threads SEC(".maps");

/*
 * States of watched threads that got no storage when they began or exec'd: creation fails while
 * this CPU is inside the storage's code for another task, such as an exiting one
 * (bpf_task_storage_trylock, kernel/bpf/bpf_task_storage.c). They move to storage at the thread's
 * next call.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct sysfsm_tid);
	__type(value, struct sysfsm_thread);
} fallback_states SEC(".maps");

/* The entries of `fallback_states` and of `refused_births`: while there is none, no program looks
 * there.
 */
__u64 fallbacks_used = 0;

/* Threads that were to be watched at their births, and found no room. Each dies at its first call.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct sysfsm_tid);
	__type(value, __u8);
} refused_births SEC(".maps");

/* A state of zeros, from which one begins: too large for the stack. Never written. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sysfsm_thread);
} zero_thread SEC(".maps");

static __always_inline struct sysfsm_tid sysfsm_tid(struct task_struct *task)
{
	struct sysfsm_tid tid = { .began = task->start_time, .tid = task->pid };

	return tid;
}

static __noinline struct sysfsm_thread *sysfsm_fallback(struct task_struct *task)
{
	struct sysfsm_tid tid = sysfsm_tid(task);

	return bpf_map_lookup_elem(&fallback_states, &tid);
}

/* Kills a thread that was refused at its birth, and has made a call. */
static __noinline int sysfsm_kill_refused(struct task_struct *task)
{
	struct sysfsm_tid tid = sysfsm_tid(task);

	if (bpf_map_lookup_elem(&refused_births, &tid))
		bpf_send_signal(SYSFSM_SIGKILL);
	return 0;
}

static __noinline int sysfsm_fallback_delete(struct task_struct *task)
{
	struct sysfsm_tid tid = sysfsm_tid(task);

	if (!bpf_map_delete_elem(&fallback_states, &tid))
		__sync_fetch_and_add(&fallbacks_used, -1);
	if (!bpf_map_delete_elem(&refused_births, &tid))
		__sync_fetch_and_add(&fallbacks_used, -1);
	return 0;
}

/* The state that is in a task's storage, watched or not any more, NULL if there is none. */
static __always_inline struct sysfsm_thread *sysfsm_storage_of(struct task_struct *task)
{
	/* Most tasks have none, and a test costs less than a helper. */
	return task->bpf_storage ? bpf_task_storage_get(&watched_threads, task, 0, 0) : NULL;
}

/* The state of a task, in storage or in the fallback map; NULL if there is none. */
static __always_inline struct sysfsm_thread *sysfsm_state_of(struct task_struct *task)
{
	struct sysfsm_thread *thread = sysfsm_storage_of(task);

	return thread || !fallbacks_used ? thread : sysfsm_fallback(task);
}

/* The state of a thread, NULL if it is not watched. */
static __always_inline struct sysfsm_thread *sysfsm_thread(struct task_struct *task)
{
	struct sysfsm_thread *thread = sysfsm_state_of(task);

	return thread && thread->policy ? thread : NULL;
}

/*
 * A thread has to be watched and cannot be, because neither place has room. It must not go on
 * unwatched, unless its violations are only logged.
 */
static __noinline int sysfsm_refuse(bool only_log)
{
	struct sysfsm_counters *counts = sysfsm_counters();

	if (counts)
		SYSFSM_COUNT(counts->threads_refused);
	return only_log ? 0 : bpf_send_signal(SYSFSM_SIGKILL);
}

/*
 * A thread that was just created has to be watched and cannot be. It has not run yet, and never
 * does: it is killed, or, before Linux 6.13, at its first call, and its creator at once.
 */
static __noinline int sysfsm_refuse_birth(struct task_struct *task, bool only_log)
{
	struct sysfsm_counters *counts = sysfsm_counters();
	struct sysfsm_tid tid = sysfsm_tid(task);
	__u8 one = 1;

	if (counts)
		SYSFSM_COUNT(counts->threads_refused);
	if (only_log)
		return 0;
	if (bpf_send_signal_task && !sysfsm_send_signal(task, SYSFSM_SIGKILL))
		return 0;
	if (!bpf_map_update_elem(&refused_births, &tid, &one, BPF_NOEXIST))
		__sync_fetch_and_add(&fallbacks_used, 1);
	return bpf_send_signal(SYSFSM_SIGKILL);
}

/* Begins to watch a thread, its state a copy of `from`. NULL if there is no room. */
static __always_inline struct sysfsm_thread *sysfsm_watch(struct task_struct *task,
							  struct sysfsm_thread *from)
{
	struct sysfsm_thread *thread = NULL;
	struct sysfsm_counters *counts;
	struct sysfsm_tid tid;

	if (!fallbacks_only)
		thread = bpf_task_storage_get(&watched_threads, task, from,
					      BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (thread)
		return thread;
	tid = sysfsm_tid(task);
	if (bpf_map_update_elem(&fallback_states, &tid, from, BPF_NOEXIST))
		return NULL;
	__sync_fetch_and_add(&fallbacks_used, 1);
	counts = sysfsm_counters();
	if (counts)
		SYSFSM_COUNT(counts->fallback_threads);
	return bpf_map_lookup_elem(&fallback_states, &tid);
}

/* Begins to watch a thread, its state all zeros: the caller binds it. What an earlier policy has
 * left is overwritten. */
static __always_inline struct sysfsm_thread *sysfsm_begin(struct task_struct *task)
{
	struct sysfsm_thread *thread = sysfsm_state_of(task);
	struct sysfsm_thread *from;
	__u32 zero = 0;

	if (thread)
		return thread;
	from = bpf_map_lookup_elem(&zero_thread, &zero);
	return from ? sysfsm_watch(task, from) : NULL;
}

/* The state of a thread that has no storage; NULL if there is none. It moves to storage if there is
 * room now. */
static __noinline struct sysfsm_thread *sysfsm_move_to_storage(struct task_struct *task)
{
	struct sysfsm_thread *fallback = sysfsm_fallback(task);
	struct sysfsm_thread *thread;

	if (!fallback)
		sysfsm_kill_refused(task);
	if (!fallback || fallbacks_only)
		return fallback;
	thread = bpf_task_storage_get(&watched_threads, task, fallback,
				      BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!thread)
		return fallback;
	sysfsm_fallback_delete(task);
	return thread;
}

/* The thread is not watched any more. */
static __always_inline void sysfsm_release(struct task_struct *task, struct sysfsm_thread *thread)
{
	/* The deletions can fail; this cannot. */
	thread->policy = 0;
	thread->slow_from = 0;
	bpf_task_storage_delete(&watched_threads, task);
	if (fallbacks_used)
		sysfsm_fallback_delete(task);
}

#endif /* SYSFSM_THREADS_H */
