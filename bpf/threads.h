/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Where the state of the watched threads lives, and how it is found, begun and given up. */
#ifndef SYSFSM_THREADS_H
#define SYSFSM_THREADS_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "counters.h"
#include "kernel.h"
#include "sysfsm.h"

#define SYSFSM_SIGKILL 9

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

/* The state that is in a task's storage, watched or not any more, NULL if there is none. */
static __always_inline struct sysfsm_thread *sysfsm_stored(struct task_struct *task)
{
	/* Most tasks have none, and a test costs less than a helper. */
	return task->bpf_storage ? bpf_task_storage_get(&threads, task, 0, 0) : NULL;
}

/* The same, wherever it is. */
static __always_inline struct sysfsm_thread *sysfsm_kept(struct task_struct *task)
{
	struct sysfsm_thread *thread = sysfsm_stored(task);

	return thread || !spares_used ? thread : sysfsm_spare(task);
}

/* The state of a thread, NULL if it is not watched. */
static __always_inline struct sysfsm_thread *sysfsm_thread(struct task_struct *task)
{
	struct sysfsm_thread *thread = sysfsm_kept(task);

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
		SYSFSM_COUNT(counts->threads_refused);
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
		SYSFSM_COUNT(counts->spares);
	return bpf_map_lookup_elem(&spares, &tid);
}

/* The same, from zero: to be bound. What a former policy has left is overwritten. */
static __always_inline struct sysfsm_thread *sysfsm_begin(struct task_struct *task)
{
	struct sysfsm_thread *thread = sysfsm_kept(task);
	struct sysfsm_thread *blank;
	__u32 zero = 0;

	if (thread)
		return thread;
	blank = bpf_map_lookup_elem(&blanks, &zero);
	return blank ? sysfsm_watch(task, blank) : NULL;
}

/* The state of a thread that has no storage, which it gets if there is room now; else NULL. */
static __noinline struct sysfsm_thread *sysfsm_settle(struct task_struct *task)
{
	struct sysfsm_thread *spare = sysfsm_spare(task);
	struct sysfsm_thread *thread;

	if (!spare || spares_only)
		return spare;
	thread = bpf_task_storage_get(&threads, task, spare, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!thread)
		return spare;
	sysfsm_spare_delete(task);
	return thread;
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

#endif /* SYSFSM_THREADS_H */
