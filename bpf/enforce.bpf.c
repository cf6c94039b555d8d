// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Enforcement: what happens to a thread (exec, birth, signal, system call) becomes a step, and a
 * violation becomes an event, and a sentence: SIGKILL, or the refusal of this call.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "adopt.h"
#include "frames.h"
#include "hold.h"
#include "hooks.h"
#include "identity.h"
#include "judge.h"
#include "kernel.h"
#include "maps.h"
#include "select.h"
#include "step.h"
#include "sysfsm.h"
#include "threads.h"
#include "veto.h"
#include "watched.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Not read here. Set while policies are changed: who finds that somebody has begun, and did not
 * end, replaces all of it. */
__u32 changing = 0;
/* How often who attends was asked to read the policies again, and up to which time the answer is
 * given; how often they were read again, for whatever reason, and how often they were refused. */
__u64 reloads_asked = 0;
__u64 reloads_answered = 0;
__u64 reloads_done = 0;
__u64 reloads_refused = 0;

static __always_inline int sysfsm_on_call(struct task_struct *task, struct sysfsm_thread *thread,
					  struct pt_regs *regs, __u32 nr, bool sure)
{
	return sysfsm_judge(task, thread, regs, nr, sure);
}

/* Binding twice is binding once: it is its thread's state after the exec, and before its first
 * call. */
static __always_inline int sysfsm_on_exec(struct task_struct *task, struct linux_binprm *bprm,
					  bool again)
{
	struct sysfsm_thread *thread = sysfsm_thread(task);
	const struct sysfsm_policy *policy;
	__u32 index = sysfsm_select(task, sysfsm_find(task, bprm), SYSFSM_EXEC_PAPER);

	/* It is dead already; no other binary saves it. */
	if (thread && thread->sentence == SYSFSM_CONDEMNED)
		return 0;
	if (!index && thread) {
		index = thread->policy;
		policy = bpf_map_lookup_elem(&policies, &index);
		if (!policy || !policy->inherit) {
			sysfsm_release(task, thread);
			return 0;
		}
	}
	if (!index)
		return 0;
	policy = bpf_map_lookup_elem(&policies, &index);
	if (!policy)
		return 0;
	if (!thread)
		thread = sysfsm_begin(task);
	if (!thread) {
		sysfsm_refuse(sysfsm_only_logs(policy->action));
		return 0;
	}
	sysfsm_bind(thread, index, policy, false);
	/* It is still in the call that exec'd it. */
	if (preemptible)
		thread->entered = sysfsm_entered_now(task);
	return 0;
}

static __always_inline void sysfsm_on_birth(struct sysfsm_thread *thread)
{
	/* A denial is its creator's. A worker of io_uring's makes no call that would end it. */
	if (thread->sentence != SYSFSM_CONDEMNED)
		thread->sentence = SYSFSM_FREE;
}

static __always_inline void sysfsm_on_exit(struct task_struct *task)
{
	/* Its links are freed one after another, and slowly: from now on they refuse nobody. */
	if (!enforcer || (__u32)task->pid != enforcer)
		return;
	enforcer = 0;
	if (!pinned)
		enforcing = false;
}

static __always_inline void sysfsm_on_signal(struct sysfsm_thread *thread, __u32 signal)
{
	sysfsm_signal(thread, signal);
}

static __always_inline __u32 sysfsm_taken_for(struct task_struct *task,
					      struct sysfsm_adoptee *adoptee)
{
	return sysfsm_select(task, adoptee->binary, SYSFSM_ADOPTION_PAPER);
}

static __always_inline bool sysfsm_on_adopt(struct task_struct *task, struct sysfsm_thread *thread,
					    struct sysfsm_adoptee *adoptee, __u32 index)
{
	const struct sysfsm_policy *policy;

	policy = bpf_map_lookup_elem(&policies, &index);
	if (!policy)
		return false;
	thread->entered = SYSFSM_NO_CALL;
	sysfsm_bind(thread, index, policy, true);
	return true;
}
