/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The programs of a tree of processes: a program gets a number when it is first exec'd. */
#ifndef SYSFSM_PROGRAMS_H
#define SYSFSM_PROGRAMS_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "counters.h"
#include "kernel.h"
#include "paths.h"
#include "sysfsm.h"

/* No number: the program is not known, but those of its children may be. */
#define SYSFSM_NAMELESS 0xffffffffu

/* Whether a tree of processes is recorded, rather than certain binaries. */
const volatile bool tree = false;

/* The thread group whose child is the tree's root; 0 if the tree is not to have another root. */
__u32 parent_of_root = 0;
__u32 programs_used = 0;
/* Execs whose program found no room in the maps. */
__u64 programs_lost = 0;

/* A program (its file; of a script its path) → its number, from 1. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct sysfsm_script);
	__type(value, __u32);
} programs SEC(".maps");

/* The new programs, for user space. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} new_programs SEC(".maps");

SYSFSM_EXPORT(struct, sysfsm_new_program_event);
SYSFSM_EXPORT(enum, sysfsm_path_origin);

static __always_inline bool sysfsm_is_root(struct task_struct *task)
{
	return parent_of_root && (__u32)task->real_parent->tgid == parent_of_root;
}

/*
 * Fills in the key of a script, which is zeroed: by the path that the exec gave, as the kernel has
 * no file of the script here, only the interpreter's (fs/exec.c, exec_binprm). The path counts from
 * the root or the working directory. Returns the length of the path with its zero, or an error.
 */
static __always_inline long sysfsm_script_key(struct sysfsm_script *key, struct linux_binprm *bprm)
{
	struct task_struct *task = bpf_get_current_task_btf();
	const char *path;
	bool absolute;

	path = sysfsm_given_path(bprm, &absolute);
	if (!path)
		return -1;
	sysfsm_file(&key->from,
		    absolute ? task->fs->root.dentry->d_inode : task->fs->pwd.dentry->d_inode);
	return bpf_probe_read_kernel_str(key->path, sizeof(key->path), path);
}

/* Writes down the path of a program, and where the path comes from. */
static __always_inline void sysfsm_write_path_origin(struct sysfsm_new_program_event *event,
						     struct task_struct *task,
						     struct linux_binprm *bprm)
{
	bool script = bprm->interp != bprm->filename;

	event->names.length = 0;
	event->names.room = SYSFSM_LONG_PATH;
	if (bpf_probe_read_kernel_str(event->path, sizeof(event->path), bprm->filename) < 0)
		event->path[0] = 0;
	if (event->path[0] == '/' && !bprm->fdpath)
		event->path_origin = SYSFSM_PATH_GIVEN;
	else if (!sysfsm_walk_to_root(&event->names, task,
				      script ? &task->fs->pwd : &bprm->file->f_path))
		event->path_origin = SYSFSM_PATH_TOO_LONG;
	else
		event->path_origin = script ? SYSFSM_PATH_BELOW : SYSFSM_PATH_FOUND;
}

/* Gives a program a number. A number whose event was lost would be useless. */
static __noinline __u32 sysfsm_new_program(struct task_struct *task, struct linux_binprm *bprm,
					   const struct sysfsm_script *key)
{
	struct sysfsm_new_program_event *event =
		bpf_ringbuf_reserve(&new_programs, sizeof(*event), 0);
	const __u32 *found;
	__u32 program;

	if (!event)
		return SYSFSM_NAMELESS;
	program = __sync_fetch_and_add(&programs_used, 1) + 1;
	event->program = program;
	sysfsm_write_path_origin(event, task, bprm);
	if (!bpf_map_update_elem(&programs, key, &program, BPF_NOEXIST)) {
		bpf_ringbuf_submit(event, 0);
		return program;
	}
	bpf_ringbuf_discard(event, 0);
	/* Another CPU has added the program meanwhile, or there is no room. */
	found = bpf_map_lookup_elem(&programs, key);
	return found ? *found : SYSFSM_NAMELESS;
}

/* The number of the program that was exec'd. */
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
		/* A path that was cut off may be another script's too. */
		if (length < 0 || length >= SYSFSM_PATH) {
			SYSFSM_COUNT(programs_lost);
			return SYSFSM_NAMELESS;
		}
	}
	found = bpf_map_lookup_elem(&programs, &key);
	if (found)
		return *found;
	program = sysfsm_new_program(task, bprm, &key);
	if (program == SYSFSM_NAMELESS)
		SYSFSM_COUNT(programs_lost);
	return program;
}

#endif /* SYSFSM_PROGRAMS_H */
