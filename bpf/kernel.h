/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The kernel types that the programs read, with the fields that they read. CO-RE finds the offsets
 * of the fields in the BTF of the running kernel.
 */
#ifndef SYSFSM_KERNEL_H
#define SYSFSM_KERNEL_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "sysfsm.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct super_block {
	__u32 s_dev;
	unsigned long s_magic;
};

struct inode {
	unsigned long i_ino;
	__u32 i_generation;
	struct super_block *i_sb;
};

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
};

struct vfsmount {
	struct dentry *mnt_root;
	struct super_block *mnt_sb;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct file {
	struct inode *f_inode;
	struct path f_path;
};

struct fs_struct {
	struct path root;
	struct path pwd;
};

typedef struct {
	int counter;
} atomic_t;

struct mm_struct {
	atomic_t mm_users;
	struct file *exe_file;
	unsigned long arg_start; /* the arguments of the last exec, in the memory of the task */
	unsigned long env_end; /* 0 until that exec has made the stack (create_elf_tables) */
	unsigned long saved_auxv[1]; /* what that exec told of the program, in pairs */
};

struct files_struct {
	atomic_t count;
};

struct signal_struct {
	atomic_t live;
};

struct bpf_local_storage;

struct pid_namespace;

/* A process's id in one namespace. */
struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first;
};

/* The ids of a process in all its namespaces, the outermost first. */
struct pid {
	unsigned int level;
	struct hlist_head tasks[1]; /* by enum pid_type; the first is of PIDTYPE_PID: one task */
	struct upid numbers[1];
};

/* A file of /proc. */
struct proc_inode {
	struct pid *pid; /* whose directory the file is in; else none */
	struct inode vfs_inode;
};

/* Linux 6.15 has renamed the field `parent`. */
struct kernfs_node {
	struct kernfs_node *parent;
	const char *name;
};

struct kernfs_node___renamed {
	struct kernfs_node *__parent;
};

struct cgroup {
	struct kernfs_node *kn;
	int level; /* 0 is the highest one's */
	struct cgroup *ancestors[]; /* and itself, by their levels; since Linux 6.1 */
};

struct css_set {
	struct cgroup *dfl_cgrp; /* in the hierarchy of version 2 */
};

typedef struct {
	unsigned int val;
} kuid_t;

struct cred {
	kuid_t uid; /* the real user, in the initial user namespace */
};

struct thread_info {
	__u32 status;
};

struct task_struct {
	struct thread_info thread_info;
	unsigned int flags;
	int pid;
	int tgid;
	__u64 start_time;
	struct pid *thread_pid;
	struct hlist_node pid_links[1]; /* in `tasks` of struct pid */
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	const struct cred *real_cred;
	struct mm_struct *mm;
	struct signal_struct *signal;
	struct files_struct *files;
	struct fs_struct *fs;
	struct css_set *cgroups;
	struct bpf_local_storage *bpf_storage;
	unsigned long sas_ss_sp; /* the alternate signal stack */
	unsigned long sas_ss_size;
	unsigned int sas_ss_flags;
};

struct linux_binprm {
	struct file *file;
	const char *filename;
	const char *interp;
	const char *fdpath; /* what fexecve(3) was given; else none */
};

struct sigaction {
	void *sa_handler;
	unsigned long sa_flags;
};

struct k_sigaction {
	struct sigaction sa;
};

struct kernel_siginfo {
	int si_code;
};

struct pt_regs {
	unsigned long bp;
	unsigned long bx;
	unsigned long r10;
	unsigned long r9;
	unsigned long r8;
	unsigned long ax;
	unsigned long dx;
	unsigned long si;
	unsigned long di;
	unsigned long orig_ax;
	unsigned long ip;
	unsigned long sp;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

#pragma clang attribute pop

/* Why the kernel asks its lockdown (include/linux/security.h). CO-RE finds the numbers: kernels
 * differ in them. */
enum lockdown_reason {
	LOCKDOWN_NONE = 0,
	LOCKDOWN_HIBERNATION = 5,
	LOCKDOWN_DEBUGFS = 15,
	LOCKDOWN_INTEGRITY_MAX = 21,
};

/* What the kernel is given to load from memory (include/linux/kernel_read_file.h). */
enum kernel_load_data_id {
	LOADING_MODULE = 2,
	LOADING_KEXEC_IMAGE = 3,
	LOADING_KEXEC_INITRAMFS = 4,
};

/* What the kernel is given to load from a file. */
enum kernel_read_file_id {
	READING_MODULE = 2,
	READING_KEXEC_IMAGE = 3,
	READING_KEXEC_INITRAMFS = 4,
	READING_MODULE_COMPRESSED = 3, /* since Linux 6.19 */
};

/*
 * The key of a file. File systems reuse the number of a file that is gone. They do not reuse its
 * generation, where they have one (ext4, xfs, btrfs, tmpfs).
 */
static __always_inline void sysfsm_file(struct sysfsm_file *key, struct inode *inode)
{
	key->inode = inode->i_ino;
	key->device = inode->i_sb->s_dev;
	key->generation = inode->i_generation;
}

#endif /* SYSFSM_KERNEL_H */
