// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Enforcement: what happens to a thread (exec, birth, signal, system call) becomes a step. A
 * violation becomes an event, and an enforcement state: SIGKILL, or the refusal of the call.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "adopt.h"
#include "frames.h"
#include "preempt.h"
#include "hooks.h"
#include "identity.h"
#include "judge.h"
#include "kernel.h"
#include "maps.h"
#include "predecessor.h"
#include "running.h"
#include "select.h"
#include "step.h"
#include "sysfsm.h"
#include "threads.h"
#include "veto.h"
#include "watched.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

SYSFSM_EXPORT(enum, sysfsm_limit);
SYSFSM_EXPORT(enum, sysfsm_symbol);
SYSFSM_EXPORT(enum, sysfsm_marker);
SYSFSM_EXPORT(enum, sysfsm_verdict);
SYSFSM_EXPORT(enum, sysfsm_action);
SYSFSM_EXPORT(enum, sysfsm_abi);
SYSFSM_EXPORT(enum, sysfsm_deny_coverage);
SYSFSM_EXPORT(enum, sysfsm_object_kind);
SYSFSM_EXPORT(struct, sysfsm_switch);
SYSFSM_EXPORT(enum, sysfsm_file_system);

/* Not read here. Set while an agent changes the policies: an agent that finds a change which was
 * begun and not ended loads everything anew. */
__u32 changing = 0;
/* Not read here. How often the agent was asked to read the policies again; the last of these
 * requests that is answered; how often the policies were read again, for whatever reason; how often
 * what was read was refused. */
__u64 reloads_asked = 0;
__u64 reloads_answered = 0;
__u64 reloads_done = 0;
__u64 reloads_refused = 0;
/* Not read here. Whether the agent's self-test has found vetoes that do not work, and how often it
 * has begun to find some. */
__u32 alarm_raised = 0;
__u64 alarms_raised = 0;
/* Whether running processes are being adopted. */
__u32 adopting = 0;
/* The children of unwatched processes that were adopted at their births, also among `adopted`. */
__u64 children_adopted = 0;

static __always_inline int sysfsm_on_call(struct task_struct *task, struct sysfsm_thread *thread,
					  struct pt_regs *regs, __u32 nr, bool non_preemptible)
{
	return sysfsm_judge(task, thread, regs, nr, non_preemptible);
}

/* Binding a thread twice does no harm: both programs run after the exec, before the first call. */
static __always_inline int sysfsm_on_exec(struct task_struct *task, struct linux_binprm *bprm,
					  bool fallback)
{
	struct sysfsm_thread *thread = sysfsm_thread(task);
	const struct sysfsm_policy *policy;
	__u32 index = sysfsm_select(task, sysfsm_find(task, bprm), SYSFSM_SCRATCH_EXEC);

	/* A killed thread stays so, whatever it runs. */
	if (thread && thread->enforcement == SYSFSM_ENFORCE_KILL)
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
	/* The thread is still in the call that exec'd. */
	if (preemptible)
		thread->entered = sysfsm_entered_now(task);
	return 0;
}

static __always_inline void sysfsm_on_birth(struct sysfsm_thread *thread)
{
	sysfsm_inherit_denials(thread);
	/* A denial is of the creator's call. A worker of io_uring's makes no call that would end
	 * it. */
	sysfsm_enforce(thread, thread->enforcement == SYSFSM_ENFORCE_KILL ? SYSFSM_ENFORCE_KILL
									  : SYSFSM_ENFORCE_NONE);
}

static __always_inline void sysfsm_on_exit(struct task_struct *task)
{
	/* The enforcer's links are freed one after another, slowly: from now on they refuse
	 * nothing. */
	if (!enforcer || (__u32)task->pid != enforcer)
		return;
	enforcer = 0;
	if (!pinned)
		enforcing = false;
}

static __always_inline void sysfsm_on_signal(struct sysfsm_thread *thread, __u32 signal,
					     const struct sysfsm_delivery *by)
{
	sysfsm_signal(thread, signal, by);
}

static __always_inline __u32 sysfsm_taken_for(struct task_struct *task,
					      struct sysfsm_adoptee *adoptee)
{
	__u32 binary = adoptee ? adoptee->binary : 0;

	if (!binary)
		binary = sysfsm_binary_before(task);
	/* Policies of any binary hold where user space knows the process. */
	if (!binary && !adoptee)
		return 0;
	return sysfsm_select(task, binary, SYSFSM_SCRATCH_ADOPTION);
}

/* Takes a thread whose past is not known under a policy. */
static __always_inline bool sysfsm_adopt(struct sysfsm_thread *thread, __u32 index)
{
	const struct sysfsm_policy *policy;

	policy = bpf_map_lookup_elem(&policies, &index);
	if (!policy)
		return false;
	thread->entered = SYSFSM_NO_CALL;
	sysfsm_bind(thread, index, policy, true);
	return true;
}

static __always_inline bool sysfsm_on_adopt(struct task_struct *task, struct sysfsm_thread *thread,
					    struct sysfsm_adoptee *adoptee, __u32 index)
{
	return sysfsm_adopt(thread, index);
}

/*
 * A process that was running before may have ended, and its child taken its place, when the
 * iterator comes. So while running processes are adopted, a child comes under the policy that its
 * creator should be under by now. The child had the creator's file at its birth.
 */
static __noinline int sysfsm_adopt_child(struct task_struct *task)
{
	struct task_struct *creator = bpf_get_current_task_btf();
	__u32 binary = sysfsm_find_running(creator);
	struct sysfsm_counters *counts;
	struct sysfsm_thread *thread;
	__u32 index;

	if (!binary)
		binary = sysfsm_binary_before(creator);
	index = sysfsm_select(task, binary, SYSFSM_SCRATCH_EXEC);
	if (!index)
		return 0;
	thread = sysfsm_begin(task);
	counts = sysfsm_counters();
	if (thread && sysfsm_adopt(thread, index)) {
		SYSFSM_COUNT(children_adopted);
		if (counts)
			SYSFSM_COUNT(counts->adopted);
	} else if (counts) {
		/* User space takes that for an error. */
		SYSFSM_COUNT(counts->threads_refused);
	}
	return 0;
}

static __always_inline void sysfsm_on_other_birth(struct task_struct *task)
{
	if (adopting)
		sysfsm_adopt_child(task);
}
