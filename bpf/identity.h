/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Which policy the binary of an exec has: by its file, by its name, by a script's path. */
#ifndef SYSFSM_IDENTITY_H
#define SYSFSM_IDENTITY_H

/* Whether there are policies of these kinds, so that an exec does not look for them in vain. */
const volatile bool names_used = false;
const volatile bool scripts_used = false;
/* Which policy an executable has: by its file, by its file's name, by a script's path. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct sysfsm_file);
	__type(value, __u32);
} binaries SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct sysfsm_name);
	__type(value, __u32);
} names SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct sysfsm_script);
	__type(value, __u32);
} scripts SEC(".maps");

/*
 * A script, by the path of the exec: the interpreter's file is all that the kernel still has of it
 * here (fs/exec.c, exec_binprm). The path counts from the root or the working directory. The key
 * is zeroed. Its path's length with the zero, or an error.
 */
static __always_inline long sysfsm_script_key(struct sysfsm_script *key, struct linux_binprm *bprm)
{
	struct task_struct *task = bpf_get_current_task_btf();
	const char *path = bprm->filename;
	char head[2] = {};

	if (bpf_probe_read_kernel(head, sizeof(head), path))
		return -1;
	sysfsm_file(&key->from, head[0] == '/' ? task->fs->root.dentry->d_inode
					       : task->fs->pwd.dentry->d_inode);
	for (int i = 0; i < 4; i++) {
		if (head[0] == '/')
			path += 1;
		else if (head[0] == '.' && head[1] == '/')
			path += 2;
		else
			break;
		if (bpf_probe_read_kernel(head, sizeof(head), path))
			return -1;
	}
	return bpf_probe_read_kernel_str(key->path, sizeof(key->path), path);
}

static __noinline __u32 sysfsm_find_script(struct linux_binprm *bprm)
{
	struct sysfsm_script key = {};
	const __u32 *index;

	if (sysfsm_script_key(&key, bprm) < 0)
		return 0;
	index = bpf_map_lookup_elem(&scripts, &key);
	return index ? *index : 0;
}

/* The bytes of a path up to the end of its last slash. Without a branch: the verifier would follow
 * 2^256 ways.
 */
static __always_inline __u64 sysfsm_directory(const char *text)
{
	__u64 last = 0;
	__u64 slash;

	for (__u64 i = 0; i < SYSFSM_NAME; i++) {
		/* All ones at a slash. */
		slash = ((__u64)(__u8)(text[i] ^ '/') - 1) >> 63;
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
	const __u32 *index;

	/* Of a script only the path of the exec is left. */
	if (bprm->interp != bprm->filename) {
		name = bprm->filename;
		if (bpf_probe_read_kernel_str(key.text, sizeof(key.text), name) < 0)
			return 0;
		name += sysfsm_directory(key.text);
		__builtin_memset(&key, 0, sizeof(key));
	}
	if (bpf_probe_read_kernel_str(key.text, sizeof(key.text), name) < 0)
		return 0;
	index = bpf_map_lookup_elem(&names, &key);
	return index ? *index : 0;
}

/* The policy of the binary that was just exec'd, or 0. */
static __always_inline __u32 sysfsm_find(struct linux_binprm *bprm)
{
	struct sysfsm_file key;
	const __u32 *index;
	__u32 found = 0;

	if (bprm->interp == bprm->filename) {
		sysfsm_file(&key, bprm->file->f_inode);
		index = bpf_map_lookup_elem(&binaries, &key);
		found = index ? *index : 0;
	} else if (scripts_used) {
		/* An interpreter came in between: a script has the policy of its own path. */
		found = sysfsm_find_script(bprm);
	}
	return found || !names_used ? found : sysfsm_find_name(bprm);
}

#endif /* SYSFSM_IDENTITY_H */
