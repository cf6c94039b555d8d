/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The violations of threads under SYSFSM_COMPLAIN, whose machines are to learn them: the first one
 * of each kind is reported with its user stack.
 */
#ifndef SYSFSM_COMPLAIN_H
#define SYSFSM_COMPLAIN_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "event.h"
#include "kernel.h"
#include "sysfsm.h"

/* Whether any thread has the action SYSFSM_COMPLAIN: if none has, calls do not pay for this. */
const volatile bool complain = false;

SYSFSM_EXPORT(struct, sysfsm_complain_event);
SYSFSM_EXPORT(struct, sysfsm_complain_sample);

/* Kinds of which a sample was taken. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct sysfsm_complain_kind);
	__type(value, __u8);
} sampled SEC(".maps");

/* The unmodelled context of the thread that is being judged, before the call. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sysfsm_history);
} unmodelled SEC(".maps");

/* Keeps the context before the step changes it. The program that judges keeps the CPU. */
static __always_inline void sysfsm_keep_unmodelled(const struct sysfsm_thread *thread)
{
	struct sysfsm_history *context;
	__u32 zero = 0;

	context = bpf_map_lookup_elem(&unmodelled, &zero);
	if (!context)
		return;
	if (thread->top.unmodelled)
		*context = thread->top.history;
	else
		context->len = 0;
}

/*
 * Copies the top of the user stack. Most programs are built without frame pointers: their frames
 * can only be found by their unwind tables, which user space reads (src/kernel/unwind/frames.rs).
 */
static __always_inline void sysfsm_copy_stack(struct sysfsm_complain_sample *sample,
					      struct pt_regs *regs)
{
	sample->sp = regs->sp;
	sample->bp = regs->bp;
	sample->size = 0;
	sample->pad = 0;
	/* In pieces: what lies past the end of the stack cannot be read. */
	for (__u32 at = 0; at < SYSFSM_STACK; at += SYSFSM_STACK_PIECE) {
		if (bpf_probe_read_user(sample->stack + at, SYSFSM_STACK_PIECE,
					(const void *)(regs->sp + at)))
			break;
		sample->size += SYSFSM_STACK_PIECE;
	}
}

static __always_inline void sysfsm_fill_complain_event(struct sysfsm_complain_event *event,
						       struct pt_regs *regs,
						       const struct sysfsm_complain_kind *kind)
{
	sysfsm_describe(&event->event, regs, &kind->kind);
	event->event.kill_failed = 0;
	event->unmodelled = kind->unmodelled;
	event->pad = 0;
}

/* Reports the violation. Not 0: there is no room in the ring buffer. */
static __noinline int sysfsm_complain(struct pt_regs *regs,
				      const struct sysfsm_violation_kind *violation)
{
	struct sysfsm_complain_kind kind = { .kind = *violation };
	struct sysfsm_complain_sample *sample;
	struct sysfsm_complain_event *event;
	const struct sysfsm_history *context;
	__u32 zero = 0;
	__u8 one = 1;

	context = bpf_map_lookup_elem(&unmodelled, &zero);
	if (context && context->len)
		kind.unmodelled = *context;
	/* The stack of a foreign call has another shape. */
	if (violation->abi == SYSFSM_X86_64 &&
	    !bpf_map_update_elem(&sampled, &kind, &one, BPF_NOEXIST)) {
		sample = bpf_ringbuf_reserve(&events, sizeof(*sample), 0);
		if (sample) {
			sysfsm_fill_complain_event(&sample->event, regs, &kind);
			sysfsm_copy_stack(sample, regs);
			bpf_ringbuf_submit(sample, 0);
			return 0;
		}
		bpf_map_delete_elem(&sampled, &kind);
	}
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return -1;
	sysfsm_fill_complain_event(event, regs, &kind);
	bpf_ringbuf_submit(event, 0);
	return 0;
}

#endif /* SYSFSM_COMPLAIN_H */
