// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Recording: what happens to a thread (exec, birth, signal, system call) becomes a transition,
 * counted in the table from which user space writes policies.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "adopt.h"
#include "counters.h"
#include "frames.h"
#include "preempt.h"
#include "hooks.h"
#include "identity.h"
#include "kernel.h"
#include "record_step.h"
#include "programs.h"
#include "runs.h"
#include "starter.h"
#include "sysfsm.h"
#include "threads.h"

#define SYSFSM_PF_EXITING 0x4 /* include/linux/sched.h */

char LICENSE[] SEC("license") = "Dual MIT/GPL";

static __always_inline int sysfsm_on_call(struct task_struct *task, struct sysfsm_thread *thread,
					  struct pt_regs *regs, __u32 nr, bool non_preemptible)
{
	struct sysfsm_counters *counts = sysfsm_counters();

	if (!thread->policy || thread->policy == SYSFSM_NAMELESS || nr == SYSFSM_NO_CALL)
		return 0;
	if (regs->sp >= thread->slow_from)
		sysfsm_unwind_to(task, thread, regs->sp);
	/* Not atomic: the programs that come here keep the CPU. */
	if (counts)
		counts->judged++;
	if (sysfsm_abi(task, nr) == SYSFSM_X86_64)
		sysfsm_record_call(thread, nr);
	else
		sysfsm_record_foreign(thread);
	return 0;
}

static __always_inline int sysfsm_on_exec(struct task_struct *task, struct linux_binprm *bprm,
					  bool fallback)
{
	struct sysfsm_thread *thread = sysfsm_thread(task);
	__u32 program = SYSFSM_NAMELESS;
	__u32 uid;

	/* One exec is one run. */
	if (fallback && thread && thread->handled) {
		thread->handled = 0;
		return 0;
	}
	if (tree && !thread && !sysfsm_is_root(task))
		return 0;
	uid = sysfsm_uid(task);
	/* Of a tree the children may be learned. */
	if (sysfsm_chosen(task, uid, SYSFSM_SCRATCH_EXEC))
		program = tree ? sysfsm_program(task, bprm) : sysfsm_find(task, bprm);
	else if (!tree)
		program = 0;
	if (thread)
		sysfsm_run_leave(thread->run);
	if (!program) {
		if (thread)
			sysfsm_release(task, thread);
		return 0;
	}
	if (!thread)
		thread = sysfsm_begin(task);
	if (!thread) {
		sysfsm_refuse(true);
		return 0;
	}
	thread->action = SYSFSM_LOG;
	sysfsm_record_exec(thread, program);
	if (program != SYSFSM_NAMELESS)
		sysfsm_started(task, program, uid, SYSFSM_SCRATCH_EXEC);
	if (preemptible && !fallback)
		thread->handled = 1;
	return 0;
}

static __always_inline void sysfsm_on_birth(struct sysfsm_thread *thread)
{
	sysfsm_run_join(thread->run);
}

/* A recording may miss a process that is adopted. */
static __always_inline void sysfsm_on_other_birth(struct task_struct *task)
{
}

static __always_inline void sysfsm_on_exit(struct task_struct *task)
{
	struct sysfsm_thread *thread = sysfsm_thread(task);

	if (!thread)
		return;
	sysfsm_run_leave(thread->run);
	thread->policy = 0;
}

static __always_inline void sysfsm_on_signal(struct sysfsm_thread *thread, __u32 signal,
					     const struct sysfsm_delivery *by)
{
	if (thread->policy != SYSFSM_NAMELESS)
		sysfsm_record_signal(thread, signal, by);
}

static __always_inline __u32 sysfsm_taken_for(struct task_struct *task,
					      struct sysfsm_adoptee *adoptee)
{
	if (!adoptee)
		return 0;
	if (sysfsm_chosen(task, sysfsm_starter(task), SYSFSM_SCRATCH_ADOPTION))
		return adoptee->binary;
	return tree ? SYSFSM_NAMELESS : 0;
}

/* The threads of one process are one run: an earlier iteration may have begun that run. */
static __always_inline bool sysfsm_on_adopt(struct task_struct *task, struct sysfsm_thread *thread,
					    struct sysfsm_adoptee *adoptee, __u32 program)
{
	struct sysfsm_thread *leader = NULL;

	/* The end of the task may have been handled already. */
	if (!adoptee || task->flags & SYSFSM_PF_EXITING)
		return false;
	if (!adoptee->run && task->group_leader)
		leader = sysfsm_thread(task->group_leader);
	if (leader)
		adoptee->run = leader->run;
	if (adoptee->run) {
		sysfsm_run_join(adoptee->run);
	} else {
		adoptee->run = sysfsm_run_begin(program, true);
		if (program != SYSFSM_NAMELESS)
			sysfsm_started(task, program, sysfsm_starter(task),
				       SYSFSM_SCRATCH_ADOPTION);
	}
	thread->action = SYSFSM_LOG;
	thread->run = adoptee->run;
	sysfsm_frames_unknown(thread, 0, SYSFSM_HANDLERS);
	/* From here on the thread is watched: it may be in a call at this moment. */
	barrier();
	thread->policy = program;
	return true;
}
