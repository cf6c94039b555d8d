/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Which binary was exec'd: by its file, by its path, by its file's name. Decided here, at the exec:
 * when user space has seen that another file is in a binary's place, that may have run for long.
 */
#ifndef SYSFSM_IDENTITY_H
#define SYSFSM_IDENTITY_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "paths.h"
#include "sysfsm.h"

/* Whether names without a path are bound, so that an exec does not look for one in vain. */
bool names_used = false;

/* A binary's number: by its file, wherever that is linked or mounted; by its path, whichever file
 * is there, seen from the root of who execs; by its file's name. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct sysfsm_file);
	__type(value, __u32);
} binaries SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct sysfsm_path);
	__type(value, __u32);
} paths SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct sysfsm_name);
	__type(value, __u32);
} names SEC(".maps");

/* Where paths are written: too large for the stack. An exec may preempt an adoption. */
enum sysfsm_paper {
	SYSFSM_EXEC_PAPER = 0,
	SYSFSM_ADOPTION_PAPER = 1,
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct sysfsm_names);
} papers SEC(".maps");

/* An empty paper. */
static __always_inline struct sysfsm_names *sysfsm_paper(__u32 whose)
{
	struct sysfsm_names *paper;

	paper = bpf_map_lookup_elem(&papers, &whose);
	if (!paper)
		return NULL;
	paper->length = 0;
	paper->room = SYSFSM_PATH;
	/* The last name may begin at the end of a key, and what is longer than one is no key. */
	__builtin_memset(paper->text, 0, SYSFSM_PATH + SYSFSM_NAME);
	return paper;
}

static __always_inline __u32 sysfsm_by_path(const struct sysfsm_names *paper)
{
	const __u32 *binary;

	if (paper->length > SYSFSM_PATH)
		return 0;
	binary = bpf_map_lookup_elem(&paths, paper->text);
	return binary ? *binary : 0;
}

/* By where the file is. */
static __noinline __u32 sysfsm_find_place(struct task_struct *task, struct file *file)
{
	struct sysfsm_names *paper = sysfsm_paper(SYSFSM_EXEC_PAPER);

	return paper && sysfsm_climb(paper, task, &file->f_path) ? sysfsm_by_path(paper) : 0;
}

/*
 * By the path that was given, which counts from the root or from the working directory. Of a script
 * nothing else is left here, its file being closed (fs/exec.c, exec_binprm). And it leads to a
 * binary whose path has become a link to somewhere else.
 */
static __noinline __u32 sysfsm_find_given(struct task_struct *task, struct linux_binprm *bprm)
{
	struct sysfsm_names *paper = sysfsm_paper(SYSFSM_EXEC_PAPER);
	const char *path;
	bool absolute;

	/* From a descriptor: what it leads to is a file that has a place. */
	if (!paper || bprm->fdpath)
		return 0;
	path = sysfsm_given(bprm, &absolute);
	if (!path)
		return 0;
	if (sysfsm_write_name(paper, path) <= 0)
		return 0;
	if (!absolute && !sysfsm_climb(paper, task, &task->fs->pwd))
		return 0;
	return sysfsm_by_path(paper);
}

/*
 * The bytes of a path up to the end of its last slash. Without a branch: the verifier would follow
 * 2^256 ways; and a global function, so that it looks at it once.
 */
__noinline int sysfsm_directory(const struct sysfsm_name *path)
{
	__u64 last = 0;
	__u64 slash;

	if (!path)
		return 0;
	for (__u64 i = 0; i < SYSFSM_NAME; i++) {
		/* All ones at a slash. */
		slash = ((__u64)(__u8)(path->text[i] ^ '/') - 1) >> 63;
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
	const __u32 *binary;

	/* Of a script only the path of the exec is left. */
	if (bprm->interp != bprm->filename) {
		name = bprm->filename;
		if (bpf_probe_read_kernel_str(key.text, sizeof(key.text), name) < 0)
			return 0;
		name += (__u32)sysfsm_directory(&key);
		__builtin_memset(&key, 0, sizeof(key));
	}
	if (bpf_probe_read_kernel_str(key.text, sizeof(key.text), name) < 0)
		return 0;
	binary = bpf_map_lookup_elem(&names, &key);
	return binary ? *binary : 0;
}

/* The number of the binary that was just exec'd, or 0. A script is one, its interpreter then is
 * not. */
static __always_inline __u32 sysfsm_find(struct task_struct *task, struct linux_binprm *bprm)
{
	struct sysfsm_file key;
	const __u32 *binary;
	__u32 found = 0;

	if (bprm->interp == bprm->filename) {
		sysfsm_file(&key, bprm->file->f_inode);
		binary = bpf_map_lookup_elem(&binaries, &key);
		found = binary ? *binary : sysfsm_find_place(task, bprm->file);
	}
	if (!found)
		found = sysfsm_find_given(task, bprm);
	return found || !names_used ? found : sysfsm_find_name(bprm);
}

#endif /* SYSFSM_IDENTITY_H */
