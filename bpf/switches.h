/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The switches of the kernel: what turns enforcement, or the enforcer, off without bpf(2) and
 * without a signal. They are files of the kernel's own file systems, and the code that the kernel
 * is given to load.
 *
 * A file is known by the names in its file system, up to the root of that: there nobody but the
 * kernel gives names, and mounts, links and roots of processes change none.
 */
#ifndef SYSFSM_SWITCHES_H
#define SYSFSM_SWITCHES_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "kernel.h"
#include "sysfsm.h"

/* The files that are switches. Of a cgroup's file the directory is empty: any cgroup's. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 128);
	__type(key, struct sysfsm_switch);
	__type(value, __u8);
} switches SEC(".maps");

/* The enforcer's cgroup in the hierarchy of version 2 and those above it, zero if there are no
 * more. */
__u64 enforcer_cgroups[SYSFSM_ENFORCER_CGROUPS] = {};

static __always_inline void sysfsm_switch_name(char *to, struct dentry *from)
{
	bpf_probe_read_kernel_str(to, SYSFSM_SWITCH_NAME, BPF_CORE_READ(from, d_name.name));
}

static __noinline bool sysfsm_is_named_switch(struct dentry *entry, __u64 file_system)
{
	struct sysfsm_switch key = { .file_system = file_system };
	struct dentry *directory = BPF_CORE_READ(entry, d_parent);

	sysfsm_switch_name(key.directory, directory);
	sysfsm_switch_name(key.name, entry);
	if (bpf_map_lookup_elem(&switches, &key))
		return true;
	__builtin_memset(&key, 0, sizeof(key));
	key.file_system = file_system;
	sysfsm_switch_name(key.directory, BPF_CORE_READ(directory, d_parent));
	return bpf_map_lookup_elem(&switches, &key);
}

/* Whether a file is in the directory of a process in /proc, or in that of one of its threads. */
static __always_inline bool sysfsm_is_of_process(struct inode *inode, __u32 process)
{
	struct proc_inode *file =
		(void *)inode - bpf_core_field_offset(struct proc_inode, vfs_inode);
	struct hlist_node *link = BPF_CORE_READ(file, pid, tasks[0].first);
	struct task_struct *task;

	if (!link)
		return false;
	task = (void *)link - bpf_core_field_offset(struct task_struct, pid_links);
	return process && (__u32)BPF_CORE_READ(task, tgid) == process;
}

/* Whether a file stops, or kills, all that is in a cgroup in which the enforcer is. */
static __noinline bool sysfsm_is_of_enforcers_cgroup(struct dentry *entry)
{
	struct sysfsm_switch key = { .file_system = SYSFSM_CGROUP2_FS };
	/* A cgroup's number is that of its directory (kernfs_get_inode, fs/kernfs/inode.c). */
	__u64 cgroup = BPF_CORE_READ(entry, d_parent, d_inode, i_ino);

	sysfsm_switch_name(key.name, entry);
	if (!bpf_map_lookup_elem(&switches, &key))
		return false;
	for (int i = 0; i < SYSFSM_ENFORCER_CGROUPS; i++)
		if (enforcer_cgroups[i] == cgroup)
			return true;
	return false;
}

/* Whether a file of cgroups' version 1 is a switch, whichever cgroup it is of. */
static __noinline bool sysfsm_is_of_any_cgroup(struct dentry *entry)
{
	struct sysfsm_switch key = { .file_system = SYSFSM_CGROUP_FS };

	sysfsm_switch_name(key.name, entry);
	return bpf_map_lookup_elem(&switches, &key);
}

/* Whether a file that is written to is a switch of the kernel, or of the enforcer. */
static __noinline bool sysfsm_is_switch(struct file *file, __u32 process)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct dentry *entry = BPF_CORE_READ(file, f_path.dentry);
	unsigned long file_system = BPF_CORE_READ(inode, i_sb, s_magic);

	switch (file_system) {
	case SYSFSM_PROC_FS:
		return sysfsm_is_of_process(inode, process) ||
		       sysfsm_is_named_switch(entry, file_system);
	case SYSFSM_SYS_FS:
	case SYSFSM_SECURITY_FS:
		return sysfsm_is_named_switch(entry, file_system);
	case SYSFSM_CGROUP2_FS:
		return sysfsm_is_of_enforcers_cgroup(entry);
	case SYSFSM_CGROUP_FS:
		return sysfsm_is_of_any_cgroup(entry);
	/* All files: what is in them is made for those who change the running kernel, and which
	 * program runs an executable file. */
	case SYSFSM_DEBUG_FS:
	case SYSFSM_BINFMT_FS:
		return true;
	default:
		return false;
	}
}

/*
 * Whether the kernel asks its lockdown about a change of the running kernel: memory, ports,
 * registers, tables, an image. Not about files of debugfs, whose writers are found above, and not
 * about hibernation, which it asks about also when somebody reads what /sys/power/state offers.
 */
static __always_inline bool sysfsm_changes_kernel(__u32 reason)
{
	return reason < bpf_core_enum_value(enum lockdown_reason, LOCKDOWN_INTEGRITY_MAX) &&
	       reason != bpf_core_enum_value(enum lockdown_reason, LOCKDOWN_DEBUGFS) &&
	       reason != bpf_core_enum_value(enum lockdown_reason, LOCKDOWN_HIBERNATION) &&
	       reason != LOCKDOWN_NONE;
}

/* Whether the kernel is to load code from memory: a module, or another kernel. */
static __always_inline bool sysfsm_loads_code(__u32 id)
{
	return id == bpf_core_enum_value(enum kernel_load_data_id, LOADING_MODULE) ||
	       id == bpf_core_enum_value(enum kernel_load_data_id, LOADING_KEXEC_IMAGE) ||
	       id == bpf_core_enum_value(enum kernel_load_data_id, LOADING_KEXEC_INITRAMFS);
}

/* Whether the kernel is to load code from a file. */
static __always_inline bool sysfsm_reads_code(__u32 id)
{
	return id == bpf_core_enum_value(enum kernel_read_file_id, READING_MODULE) ||
	       id == bpf_core_enum_value(enum kernel_read_file_id, READING_KEXEC_IMAGE) ||
	       id == bpf_core_enum_value(enum kernel_read_file_id, READING_KEXEC_INITRAMFS) ||
	       (bpf_core_enum_value_exists(enum kernel_read_file_id, READING_MODULE_COMPRESSED) &&
		id == bpf_core_enum_value(enum kernel_read_file_id, READING_MODULE_COMPRESSED));
}

#endif /* SYSFSM_SWITCHES_H */
