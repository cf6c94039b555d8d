/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The path of a file. It is found in the kernel, at the exec: before user space could ask, the
 * program may have ended, or its process may have changed its root or directory.
 */
#ifndef SYSFSM_PATHS_H
#define SYSFSM_PATHS_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "kernel.h"
#include "sysfsm.h"

/* A walk from a file up to the root of a task. */
struct sysfsm_walk {
	struct dentry *dentry;
	struct vfsmount *mnt;
	struct dentry *top;
	struct vfsmount *top_mnt;
};

enum sysfsm_walk_state {
	SYSFSM_WALK_ON = 0,
	SYSFSM_WALK_DONE = 1,
	SYSFSM_WALK_FAILED = 2,
};

/* Reads a text: from the kernel's memory, or from that of the current task. */
static __always_inline long sysfsm_read_text(void *to, __u32 size, const char *text, bool user)
{
	return user ? bpf_probe_read_user_str(to, size, text)
		    : bpf_probe_read_kernel_str(to, size, text);
}

/* Adds a text, of which no more than a name's bytes; its length with the zero, or an error. */
static __always_inline long sysfsm_write_text(struct sysfsm_names *names, const char *text,
					      bool user)
{
	__u32 length = names->length;
	long written;

	if (length >= names->room || length >= SYSFSM_LONG_PATH)
		return -1;
	written = sysfsm_read_text(&names->text[length], SYSFSM_NAME, text, user);
	if (written > 0)
		names->length = length + written;
	return written;
}

/* Adds a name; its length with the zero, or an error. */
static __always_inline long sysfsm_write_name(struct sysfsm_names *names, const char *name)
{
	return sysfsm_write_text(names, name, false);
}

/* One step of a walk: writes a name, or leaves a mount. */
static __always_inline int sysfsm_walk_step(struct sysfsm_walk *walk, struct sysfsm_names *names)
{
	unsigned long inside = bpf_core_field_offset(struct mount, mnt);
	struct dentry *dentry = walk->dentry;
	struct vfsmount *mnt = walk->mnt;
	struct mount *mount, *parent;

	if (dentry == walk->top && mnt == walk->top_mnt)
		return SYSFSM_WALK_DONE;
	if (dentry == BPF_CORE_READ(mnt, mnt_root)) {
		mount = (void *)mnt - inside;
		parent = BPF_CORE_READ(mount, mnt_parent);
		/* A mount that is mounted nowhere, such as a memfd's, is its own parent. */
		if (parent == mount)
			return SYSFSM_WALK_DONE;
		walk->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		walk->mnt = (void *)parent + inside;
		return SYSFSM_WALK_ON;
	}
	if (sysfsm_write_name(names, (const char *)BPF_CORE_READ(dentry, d_name.name)) <= 0)
		return SYSFSM_WALK_FAILED;
	walk->dentry = BPF_CORE_READ(dentry, d_parent);
	return SYSFSM_WALK_ON;
}

/*
 * Adds the names from where the walk is up to the top; false: the walk did not get there. A global
 * function: the verifier looks at it only once.
 */
__noinline int sysfsm_walk_up(struct sysfsm_walk *walk, struct sysfsm_names *names)
{
	int state = SYSFSM_WALK_ON;

	if (!walk || !names)
		return false;
	for (int i = 0; i < SYSFSM_WALK_STEPS && state == SYSFSM_WALK_ON; i++)
		state = sysfsm_walk_step(walk, names);
	return state == SYSFSM_WALK_DONE;
}

/* Adds the names from a file up to the root of the task; false: the walk did not get there. */
static __always_inline bool sysfsm_walk_to_root(struct sysfsm_names *names,
						struct task_struct *task, const struct path *from)
{
	struct sysfsm_walk walk = {
		.dentry = BPF_CORE_READ(from, dentry),
		.mnt = BPF_CORE_READ(from, mnt),
		.top = BPF_CORE_READ(task, fs, root.dentry),
		.top_mnt = BPF_CORE_READ(task, fs, root.mnt),
	};

	return sysfsm_walk_up(&walk, names);
}

/* Reads the first bytes of a path. */
static __always_inline long sysfsm_read_head(char *head, const char *path, bool user)
{
	return user ? bpf_probe_read_user(head, 2, path) : bpf_probe_read_kernel(head, 2, path);
}

/*
 * A path without the slashes and the `./` at its beginning; NULL: the path cannot be read. The path
 * counts from the root if it is absolute, else from the working directory. `user`: the path is in
 * the memory of the current task.
 */
static __always_inline const char *sysfsm_strip_path(const char *path, bool user, bool *absolute)
{
	char head[2] = {};

	if (sysfsm_read_head(head, path, user))
		return NULL;
	*absolute = head[0] == '/';
	for (int i = 0; i < 4; i++) {
		if (head[0] == '/')
			path += 1;
		else if (head[0] == '.' && head[1] == '/')
			path += 2;
		else
			break;
		if (sysfsm_read_head(head, path, user))
			return NULL;
	}
	return path;
}

/* The path that an exec gave, as sysfsm_strip_path() has it. */
static __always_inline const char *sysfsm_given_path(struct linux_binprm *bprm, bool *absolute)
{
	return sysfsm_strip_path(bprm->filename, false, absolute);
}

#endif /* SYSFSM_PATHS_H */
