/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Where a file is. Asked in the kernel, at the exec: a program may have ended, or its process may
 * have gone elsewhere, before user space could ask.
 */
#ifndef SYSFSM_PATHS_H
#define SYSFSM_PATHS_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "kernel.h"
#include "sysfsm.h"

/* So many names and mounts may lie between a file and the root. A path has at most SYSFSM_PATH / 2
 * names; who has made that many has made them for us. */
#define SYSFSM_CLIMB 80

/* On its way up to the root of a task. */
struct sysfsm_climber {
	struct dentry *dentry;
	struct vfsmount *mnt;
	struct dentry *top;
	struct vfsmount *top_mnt;
};

enum sysfsm_climbed {
	SYSFSM_ON = 0,
	SYSFSM_THERE = 1,
	SYSFSM_STUCK = 2,
};

/* Adds a name; its length with the zero, or an error. */
static __always_inline long sysfsm_write_name(struct sysfsm_names *names, const char *name)
{
	__u32 length = names->length;
	long written;

	if (length >= names->room || length >= SYSFSM_LONG_PATH)
		return -1;
	written = bpf_probe_read_kernel_str(&names->text[length], SYSFSM_NAME, name);
	if (written > 0)
		names->length = length + written;
	return written;
}

/* One step: writes a name, or leaves a mount. */
static __always_inline int sysfsm_climb_on(struct sysfsm_climber *climber,
					   struct sysfsm_names *names)
{
	unsigned long inside = bpf_core_field_offset(struct mount, mnt);
	struct dentry *dentry = climber->dentry;
	struct vfsmount *mnt = climber->mnt;
	struct mount *mount, *parent;

	if (dentry == climber->top && mnt == climber->top_mnt)
		return SYSFSM_THERE;
	if (dentry == BPF_CORE_READ(mnt, mnt_root)) {
		mount = (void *)mnt - inside;
		parent = BPF_CORE_READ(mount, mnt_parent);
		/* A mount that is nowhere, as a memfd's, is its own parent. */
		if (parent == mount)
			return SYSFSM_THERE;
		climber->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		climber->mnt = (void *)parent + inside;
		return SYSFSM_ON;
	}
	if (sysfsm_write_name(names, (const char *)BPF_CORE_READ(dentry, d_name.name)) <= 0)
		return SYSFSM_STUCK;
	climber->dentry = BPF_CORE_READ(dentry, d_parent);
	return SYSFSM_ON;
}

/*
 * Adds the names from where one is up to the top; whether one got there. A global function: the
 * verifier looks at it once, and not at every way by which it can be reached.
 */
__noinline int sysfsm_climb_up(struct sysfsm_climber *climber, struct sysfsm_names *names)
{
	int climbed = SYSFSM_ON;

	if (!climber || !names)
		return false;
	for (int i = 0; i < SYSFSM_CLIMB && climbed == SYSFSM_ON; i++)
		climbed = sysfsm_climb_on(climber, names);
	return climbed == SYSFSM_THERE;
}

/* The same from a file up to the root of the task. */
static __always_inline bool sysfsm_climb(struct sysfsm_names *names, struct task_struct *task,
					 const struct path *from)
{
	struct sysfsm_climber climber = {
		.dentry = BPF_CORE_READ(from, dentry),
		.mnt = BPF_CORE_READ(from, mnt),
		.top = BPF_CORE_READ(task, fs, root.dentry),
		.top_mnt = BPF_CORE_READ(task, fs, root.mnt),
	};

	return sysfsm_climb_up(&climber, names);
}

/*
 * The path of an exec as it was given, without the slashes and the `./` that it begins with, NULL
 * if it cannot be read. It counts from the root if it is absolute, else from the working directory.
 */
static __always_inline const char *sysfsm_given(struct linux_binprm *bprm, bool *absolute)
{
	const char *path = bprm->filename;
	char head[2] = {};

	if (bpf_probe_read_kernel(head, sizeof(head), path))
		return NULL;
	*absolute = head[0] == '/';
	for (int i = 0; i < 4; i++) {
		if (head[0] == '/')
			path += 1;
		else if (head[0] == '.' && head[1] == '/')
			path += 2;
		else
			break;
		if (bpf_probe_read_kernel(head, sizeof(head), path))
			return NULL;
	}
	return path;
}

#endif /* SYSFSM_PATHS_H */
