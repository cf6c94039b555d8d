/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The programs of a tree of processes: each is given a number when it is first exec'd. */
#ifndef SYSFSM_PROGRAMS_H
#define SYSFSM_PROGRAMS_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "counters.h"
#include "kernel.h"
#include "paths.h"
#include "sysfsm.h"

/* Instead of a number: the program is not known, but its children's may be. */
#define SYSFSM_NAMELESS 0xffffffffu

/* Whether a tree is recorded, and not certain binaries. */
const volatile bool tree = false;

/* The thread group whose child is the tree's root; 0 if the tree is not to have another root. */
__u32 parent_of_root = 0;
__u32 programs_used = 0;
/* Execs whose program found no room. */
__u64 programs_lost = 0;

/* A program, by its file, or, of a script, its path → its number, from 1. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct sysfsm_script);
	__type(value, __u32);
} programs SEC(".maps");

/* Tells user space of new programs. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} meetings SEC(".maps");

/* Puts the record's type into the BTF, from which the skeleton makes the Rust type. */
const struct sysfsm_meeting *meeting_type = NULL;

static __always_inline bool sysfsm_is_root(struct task_struct *task)
{
	return parent_of_root && (__u32)task->real_parent->tgid == parent_of_root;
}

/*
 * A script, by the path of the exec: the interpreter's file is all that the kernel still has of it
 * here (fs/exec.c, exec_binprm). The path counts from the root or the working directory. The key
 * is zeroed. Its path's length with the zero, or an error.
 */
static __always_inline long sysfsm_script_key(struct sysfsm_script *key, struct linux_binprm *bprm)
{
	struct task_struct *task = bpf_get_current_task_btf();
	const char *path;
	bool absolute;

	path = sysfsm_given(bprm, &absolute);
	if (!path)
		return -1;
	sysfsm_file(&key->from,
		    absolute ? task->fs->root.dentry->d_inode : task->fs->pwd.dentry->d_inode);
	return bpf_probe_read_kernel_str(key->path, sizeof(key->path), path);
}

/* Writes down by what path a program was exec'd. */
static __always_inline void sysfsm_whence(struct sysfsm_meeting *meeting, struct task_struct *task,
					  struct linux_binprm *bprm)
{
	bool script = bprm->interp != bprm->filename;

	meeting->names.length = 0;
	meeting->names.room = SYSFSM_LONG_PATH;
	if (bpf_probe_read_kernel_str(meeting->path, sizeof(meeting->path), bprm->filename) < 0)
		meeting->path[0] = 0;
	if (meeting->path[0] == '/' && !bprm->fdpath)
		meeting->whence = SYSFSM_GIVEN;
	else if (!sysfsm_climb(&meeting->names, task,
			       script ? &task->fs->pwd : &bprm->file->f_path))
		meeting->whence = SYSFSM_NOWHERE;
	else
		meeting->whence = script ? SYSFSM_BELOW : SYSFSM_FOUND;
}

/* A program that has no number yet. Without the news of its name a number would be useless. */
static __noinline __u32 sysfsm_meet(struct task_struct *task, struct linux_binprm *bprm,
				    const struct sysfsm_script *key)
{
	struct sysfsm_meeting *meeting = bpf_ringbuf_reserve(&meetings, sizeof(*meeting), 0);
	const __u32 *found;
	__u32 program;

	if (!meeting)
		return SYSFSM_NAMELESS;
	program = __sync_fetch_and_add(&programs_used, 1) + 1;
	meeting->program = program;
	sysfsm_whence(meeting, task, bprm);
	if (!bpf_map_update_elem(&programs, key, &program, BPF_NOEXIST)) {
		bpf_ringbuf_submit(meeting, 0);
		return program;
	}
	bpf_ringbuf_discard(meeting, 0);
	/* Another CPU was faster, or there is no room. */
	found = bpf_map_lookup_elem(&programs, key);
	return found ? *found : SYSFSM_NAMELESS;
}

/* The number of the program that was just exec'd. */
static __noinline __u32 sysfsm_program(struct task_struct *task, struct linux_binprm *bprm)
{
	struct sysfsm_script key = {};
	const __u32 *found;
	__u32 program;
	long length;

	if (bprm->interp == bprm->filename) {
		sysfsm_file(&key.from, bprm->file->f_inode);
	} else {
		length = sysfsm_script_key(&key, bprm);
		/* Cut off, it may be another script's too. */
		if (length < 0 || length >= SYSFSM_PATH) {
			SYSFSM_COUNT(programs_lost);
			return SYSFSM_NAMELESS;
		}
	}
	found = bpf_map_lookup_elem(&programs, &key);
	if (found)
		return *found;
	program = sysfsm_meet(task, bprm, &key);
	if (program == SYSFSM_NAMELESS)
		SYSFSM_COUNT(programs_lost);
	return program;
}

#endif /* SYSFSM_PROGRAMS_H */
