/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Programs that are not preempted.
 *
 * Since Linux 7.0 the programs of a tracepoint can be preempted. While a program is preempted, the
 * kernel skips the program for the other tasks of that CPU (__bpf_trace_run,
 * kernel/trace/bpf_trace.c). So there each program turns preemption off: it begins with
 * sysfsm_preempt_off() and ends with sysfsm_preempt_on(). A few instructions before and after
 * remain. For them each hook has two programs: *_primary, and *_fallback for what the primary was
 * not shown.
 *
 * sys_enter is so frequent that many tasks together can make the kernel skip both programs. Where
 * there is tracefs the primary program of sys_enter is sys_enter_classic, on the classic
 * tracepoint, whose programs the kernel runs with preemption off (include/trace/perf.h). It needs
 * the fallback too: the kernel skips programs of classic tracepoints on a CPU where any task was
 * preempted inside a map operation of bpf(2) (trace_call_bpf; bpf_prog_active,
 * bpf_disable_instrumentation() in include/linux/bpf.h). Programs of BTF tracepoints are not
 * skipped there.
 */
#ifndef SYSFSM_PREEMPT_H
#define SYSFSM_PREEMPT_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* Whether the kernel can preempt the programs of tracepoints. */
const volatile bool preemptible = false;

/* Since Linux 6.10 (bpf_preempt_*) and 6.14 (bpf_local_irq_*). */
extern void bpf_preempt_disable(void) __ksym __weak;
extern void bpf_preempt_enable(void) __ksym __weak;
extern void bpf_local_irq_save(unsigned long *flags) __ksym __weak;
extern void bpf_local_irq_restore(unsigned long *flags) __ksym __weak;

static __always_inline void sysfsm_preempt_off(void)
{
	if (preemptible && bpf_local_irq_save)
		bpf_preempt_disable();
}

/*
 * A task that was woken meanwhile (by an event, say) would get the CPU at once, inside the program:
 * preempt_schedule() (kernel/sched/core.c) does nothing while interrupts are off.
 */
static __always_inline void sysfsm_preempt_on(void)
{
	unsigned long flags;

	if (preemptible && bpf_local_irq_save) {
		bpf_local_irq_save(&flags);
		bpf_preempt_enable();
		bpf_local_irq_restore(&flags);
	}
}

#endif /* SYSFSM_PREEMPT_H */
