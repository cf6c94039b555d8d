/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Where a file is. Asked in the kernel, at the exec: a program may have ended, or its process may
 * have gone elsewhere, before user space could ask.
 */
#ifndef SYSFSM_PATHS_H
#define SYSFSM_PATHS_H

/* So many names and mounts may lie between a file and the root. */
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

/*
 * One step: writes a name, or leaves a mount. A global function: the verifier looks at it once, and
 * not at every way by which it can be reached.
 */
__noinline int sysfsm_climb_on(struct sysfsm_climber *climber, struct sysfsm_meeting *meeting)
{
	unsigned long inside = bpf_core_field_offset(struct mount, mnt);
	struct mount *mount, *parent;
	struct dentry *dentry;
	struct vfsmount *mnt;
	__u32 length;
	long name;

	if (!climber || !meeting)
		return SYSFSM_STUCK;
	dentry = climber->dentry;
	mnt = climber->mnt;
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
	length = meeting->length;
	if (length >= SYSFSM_LONG_PATH)
		return SYSFSM_STUCK;
	name = bpf_probe_read_kernel_str(&meeting->names[length], SYSFSM_NAME,
					 BPF_CORE_READ(dentry, d_name.name));
	if (name <= 0)
		return SYSFSM_STUCK;
	meeting->length = length + name;
	climber->dentry = BPF_CORE_READ(dentry, d_parent);
	return SYSFSM_ON;
}

/* Writes the names from a file up to the root of the task; whether it got there. */
static __always_inline bool sysfsm_climb(struct sysfsm_meeting *meeting, struct task_struct *task,
					 const struct path *from)
{
	struct sysfsm_climber climber = {
		.dentry = BPF_CORE_READ(from, dentry),
		.mnt = BPF_CORE_READ(from, mnt),
		.top = BPF_CORE_READ(task, fs, root.dentry),
		.top_mnt = BPF_CORE_READ(task, fs, root.mnt),
	};
	int climbed = SYSFSM_ON;

	for (int i = 0; i < SYSFSM_CLIMB && climbed == SYSFSM_ON; i++)
		climbed = sysfsm_climb_on(&climber, meeting);
	return climbed == SYSFSM_THERE;
}

/* Writes down by what path a program was exec'd. */
static __always_inline void sysfsm_whence(struct sysfsm_meeting *meeting, struct task_struct *task,
					  struct linux_binprm *bprm)
{
	bool script = bprm->interp != bprm->filename;

	meeting->length = 0;
	if (bpf_probe_read_kernel_str(meeting->path, sizeof(meeting->path), bprm->filename) < 0)
		meeting->path[0] = 0;
	if (meeting->path[0] == '/' && !bprm->fdpath)
		meeting->whence = SYSFSM_GIVEN;
	else if (!sysfsm_climb(meeting, task, script ? &task->fs->pwd : &bprm->file->f_path))
		meeting->whence = SYSFSM_NOWHERE;
	else
		meeting->whence = script ? SYSFSM_BELOW : SYSFSM_FOUND;
}

#endif /* SYSFSM_PATHS_H */
