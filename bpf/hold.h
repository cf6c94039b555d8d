/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Keeping the CPU. From Linux 7.0 on a tracepoint's programs can be preempted, and while one is,
 * the kernel leaves it out for the other tasks of that CPU (__bpf_trace_run,
 * kernel/trace/bpf_trace.c), for as long as it takes the task to get its turn again. So there each
 * program begins with sysfsm_hold() and ends with sysfsm_let_go(). For the few instructions before
 * and after, each hook has a second program, again_*, for what the first was not shown.
 *
 * But sys_enter is so often that a crowd of tasks could keep both out: where there is tracefs its
 * first program is on the classic tracepoint, which the kernel runs with preemption off
 * (include/trace/perf.h). That one alone would not do either: it is left out on a CPU where a task
 * was preempted inside a map operation of bpf(2), whoever's (trace_call_bpf; bpf_prog_active,
 * bpf_disable_instrumentation() in include/linux/bpf.h), which the programs of BTF tracepoints are
 * not.
 */
#ifndef SYSFSM_HOLD_H
#define SYSFSM_HOLD_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* Whether it is so here. */
const volatile bool preemptible = false;

/* Linux 6.10 and 6.14. */
extern void bpf_preempt_disable(void) __ksym __weak;
extern void bpf_preempt_enable(void) __ksym __weak;
extern void bpf_local_irq_save(unsigned long *flags) __ksym __weak;
extern void bpf_local_irq_restore(unsigned long *flags) __ksym __weak;

static __always_inline void sysfsm_hold(void)
{
	if (preemptible && bpf_local_irq_save)
		bpf_preempt_disable();
}

/*
 * Whoever has asked for the CPU meanwhile (an event wakes its reader) would get it at once, in the
 * program still: preempt_schedule() (kernel/sched/core.c) waits while interrupts are off.
 */
static __always_inline void sysfsm_let_go(void)
{
	unsigned long flags;

	if (preemptible && bpf_local_irq_save) {
		bpf_local_irq_save(&flags);
		bpf_preempt_enable();
		bpf_local_irq_restore(&flags);
	}
}

#endif /* SYSFSM_HOLD_H */
