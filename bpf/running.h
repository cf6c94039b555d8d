/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Which binary the current task runs. Its exec is over: what is left of that are the file, and what
 * the kernel has written into the memory of the task. src/kernel/identity/processes.rs finds out
 * the same of other tasks, outside of the kernel.
 */
#ifndef SYSFSM_RUNNING_H
#define SYSFSM_RUNNING_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "identity.h"
#include "kernel.h"
#include "paths.h"
#include "sysfsm.h"

#define SYSFSM_AT_NULL 0
#define SYSFSM_AT_EXECFN 31
/* The pairs of mm_struct.saved_auxv are fewer (AT_VECTOR_SIZE, include/linux/mm_types.h). */
#define SYSFSM_AUXV_PAIRS 40
/* The kernel puts at most four arguments before the path of a script that is run by a script
 * (load_script, fs/binfmt_script.c). */
#define SYSFSM_SCRIPT_ARGUMENTS 5

struct sysfsm_auxv {
	unsigned long key;
	unsigned long value;
};

/* Where the path lies that was given to the exec (AT_EXECFN, fs/binfmt_elf.c); 0: not known. */
static __noinline unsigned long sysfsm_exec_path(struct mm_struct *mm)
{
	const char *at = (const char *)mm + bpf_core_field_offset(struct mm_struct, saved_auxv);
	struct sysfsm_auxv pair = {};

	for (int i = 0; i < SYSFSM_AUXV_PAIRS; i++) {
		if (bpf_probe_read_kernel(&pair, sizeof(pair), at + i * sizeof(pair)))
			return 0;
		if (pair.key == SYSFSM_AT_EXECFN)
			return pair.value;
		if (pair.key == SYSFSM_AT_NULL)
			return 0;
	}
	return 0;
}

/* Whether two texts, padded with zeros, are the same. A global function, because the verifier looks
 * at it only once. */
__noinline int sysfsm_same_text(const struct sysfsm_name *one, const struct sysfsm_name *other)
{
	__u8 differs = 0;

	if (!one || !other)
		return 0;
	for (__u32 i = 0; i < SYSFSM_NAME; i++)
		differs |= one->text[i] ^ other->text[i];
	return !differs;
}

/*
 * Whether the exec of the current task was a script's: then the kernel has put the path that was
 * given among the arguments, behind the interpreter (load_script, fs/binfmt_script.c). The first
 * argument is the caller's own.
 */
static __noinline int sysfsm_runs_script(struct mm_struct *mm, unsigned long exec_path)
{
	struct sysfsm_names *scratch = sysfsm_path_scratch(SYSFSM_SCRATCH_ARGUMENTS);
	struct sysfsm_name *path, *argument;
	unsigned long at = mm->arg_start;
	long length;

	if (!scratch)
		return 0;
	path = (struct sysfsm_name *)&scratch->text[0];
	argument = (struct sysfsm_name *)&scratch->text[SYSFSM_NAME];
	if (bpf_probe_read_user_str(path, sizeof(*path), (void *)exec_path) <= 0)
		return 0;
	for (int i = 0; i < SYSFSM_SCRIPT_ARGUMENTS; i++) {
		__builtin_memset(argument, 0, sizeof(*argument));
		length = bpf_probe_read_user_str(argument, sizeof(*argument), (void *)at);
		if (length <= 0)
			return 0;
		if (i && sysfsm_same_text(path, argument))
			return 1;
		at += length;
	}
	return 0;
}

static __noinline __u32 sysfsm_find_exec_path(struct task_struct *task, unsigned long exec_path)
{
	return sysfsm_find_text(task, (const char *)exec_path, true);
}

/* The number of the binary that the current task runs, or 0, as sysfsm_find() has it at an exec. */
static __noinline __u32 sysfsm_find_running(struct task_struct *task)
{
	struct mm_struct *mm = task->mm;
	unsigned long exec_path;
	struct sysfsm_file key;
	const __u32 *binary;
	struct file *file;
	__u32 found;

	if (!mm)
		return 0;
	file = mm->exe_file;
	if (!file)
		return 0;
	exec_path = sysfsm_exec_path(mm);
	if (exec_path && sysfsm_runs_script(mm, exec_path)) {
		found = sysfsm_find_exec_path(task, exec_path);
		return found || !names_used ? found
					    : sysfsm_find_last_name((const char *)exec_path, true);
	}
	sysfsm_file(&key, file->f_inode);
	binary = bpf_map_lookup_elem(&binaries, &key);
	found = binary ? *binary : sysfsm_find_place(task, file);
	if (!found && exec_path)
		found = sysfsm_find_exec_path(task, exec_path);
	return found || !names_used ? found : sysfsm_find_file_name(file);
}

#endif /* SYSFSM_RUNNING_H */
