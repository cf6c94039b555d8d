/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Which binary was exec'd: by its file, by its path, by its file's name. This is decided at the
 * exec: before user space has seen that a path leads to another file, that file may have run for
 * long.
 */
#ifndef SYSFSM_IDENTITY_H
#define SYSFSM_IDENTITY_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "paths.h"
#include "sysfsm.h"

/* Whether policies name binaries without a path: if none does, an exec does not look for one. */
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

/* Where paths are written: they are too large for the stack. An exec or a birth, which keep the
 * CPU, may preempt an adoption. */
enum sysfsm_path_scratch_slot {
	SYSFSM_SCRATCH_EXEC = 0,
	SYSFSM_SCRATCH_ADOPTION = 1,
	SYSFSM_SCRATCH_ARGUMENTS = 2,
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, struct sysfsm_names);
} path_scratch SEC(".maps");

/* The scratch buffer of a slot, emptied. */
static __always_inline struct sysfsm_names *sysfsm_path_scratch(__u32 slot)
{
	struct sysfsm_names *scratch;

	scratch = bpf_map_lookup_elem(&path_scratch, &slot);
	if (!scratch)
		return NULL;
	scratch->length = 0;
	scratch->room = SYSFSM_PATH;
	/* The last name may begin at the end of a key, and what is longer than one is no key. */
	__builtin_memset(scratch->text, 0, SYSFSM_PATH + SYSFSM_NAME);
	return scratch;
}

static __always_inline __u32 sysfsm_by_path(const struct sysfsm_names *scratch)
{
	const __u32 *binary;

	if (scratch->length > SYSFSM_PATH)
		return 0;
	binary = bpf_map_lookup_elem(&paths, scratch->text);
	return binary ? *binary : 0;
}

/* The number of a binary by the path that its file has. */
static __noinline __u32 sysfsm_find_place(struct task_struct *task, struct file *file)
{
	struct sysfsm_names *scratch = sysfsm_path_scratch(SYSFSM_SCRATCH_EXEC);

	return scratch && sysfsm_walk_to_root(scratch, task, &file->f_path)
		       ? sysfsm_by_path(scratch)
		       : 0;
}

/* The number of a binary by a path that counts from the root or from the working directory.
 * `user`: the path is in the memory of the current task. */
static __always_inline __u32 sysfsm_find_text(struct task_struct *task, const char *text, bool user)
{
	struct sysfsm_names *scratch = sysfsm_path_scratch(SYSFSM_SCRATCH_EXEC);
	const char *path;
	bool absolute;

	if (!scratch)
		return 0;
	path = sysfsm_strip_path(text, user, &absolute);
	if (!path)
		return 0;
	if (sysfsm_write_text(scratch, path, user) <= 0)
		return 0;
	if (!absolute && !sysfsm_walk_to_root(scratch, task, &task->fs->pwd))
		return 0;
	return sysfsm_by_path(scratch);
}

/*
 * The number of a binary by the path that the exec gave. Of a script there is nothing else here:
 * its file is closed by now (fs/exec.c, exec_binprm). And this finds a binary whose path has become
 * a link to somewhere else.
 */
static __noinline __u32 sysfsm_find_given(struct task_struct *task, struct linux_binprm *bprm)
{
	/* From a descriptor: the file behind it has a path of its own. */
	return bprm->fdpath ? 0 : sysfsm_find_text(task, bprm->filename, false);
}

/*
 * The bytes of a path up to the end of its last slash. Without a branch, because the verifier would
 * follow 2^256 paths; and a global function, because the verifier looks at it only once.
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

/* The number of a binary by the name of its file. */
static __noinline __u32 sysfsm_find_file_name(struct file *file)
{
	const char *name = (const char *)file->f_path.dentry->d_name.name;
	struct sysfsm_name key = {};
	const __u32 *binary;

	if (bpf_probe_read_kernel_str(key.text, sizeof(key.text), name) < 0)
		return 0;
	binary = bpf_map_lookup_elem(&names, &key);
	return binary ? *binary : 0;
}

/* The number of a binary by the last name of a path. `user`: the path is in the memory of the
 * current task. */
static __noinline __u32 sysfsm_find_last_name(const char *path, bool user)
{
	/* One text for the path and the name: the calls of a program share 512 bytes of stack. */
	struct sysfsm_name key = {};
	const __u32 *binary;

	if (sysfsm_read_text(key.text, sizeof(key.text), path, user) < 0)
		return 0;
	path += (__u32)sysfsm_directory(&key);
	__builtin_memset(&key, 0, sizeof(key));
	if (sysfsm_read_text(key.text, sizeof(key.text), path, user) < 0)
		return 0;
	binary = bpf_map_lookup_elem(&names, &key);
	return binary ? *binary : 0;
}

static __always_inline __u32 sysfsm_find_name(struct linux_binprm *bprm)
{
	/* Of a script only the path of the exec is left. */
	return bprm->interp != bprm->filename ? sysfsm_find_last_name(bprm->filename, false)
					      : sysfsm_find_file_name(bprm->file);
}

/* The number of the binary that was exec'd, or 0. A script is a binary; its interpreter then is
 * none. */
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
