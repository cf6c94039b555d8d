/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What the machines of watched threads are to learn: sightings, the first of each kind with its
 * stack. */
#ifndef SYSFSM_SIGHT_H
#define SYSFSM_SIGHT_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "event.h"
#include "kernel.h"
#include "sysfsm.h"

/* Whether threads have the action SYSFSM_LEARN: nobody else pays for this. */
const volatile bool learning = false;

/* Puts the types into the BTF. */
const struct sysfsm_sighting *sighting_type = NULL;
const struct sysfsm_sample *sample_type = NULL;

/* Kinds of which a sample was taken. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct sysfsm_kind);
	__type(value, __u8);
} sampled SEC(".maps");

/* The context that is outside of the machine, before the call that is being judged. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sysfsm_history);
} outsides SEC(".maps");

/* Before the step forgets it. Whoever judges keeps the CPU. */
static __always_inline void sysfsm_remember(const struct sysfsm_thread *thread)
{
	struct sysfsm_history *outside;
	__u32 zero = 0;

	outside = bpf_map_lookup_elem(&outsides, &zero);
	if (!outside)
		return;
	if (thread->top.outside)
		*outside = thread->top.seen;
	else
		outside->len = 0;
}

/*
 * The top of the user stack: most programs are built without frame pointers, so that their frames
 * can only be found by their tables, which user space reads (src/kernel/events/unwind.rs).
 */
static __always_inline void sysfsm_copy_stack(struct sysfsm_sample *sample, struct pt_regs *regs)
{
	sample->sp = regs->sp;
	sample->bp = regs->bp;
	sample->size = 0;
	sample->pad = 0;
	/* By pieces: what lies behind its end cannot be read. */
	for (__u32 at = 0; at < SYSFSM_STACK; at += SYSFSM_STACK_PIECE) {
		if (bpf_probe_read_user(sample->stack + at, SYSFSM_STACK_PIECE,
					(const void *)(regs->sp + at)))
			break;
		sample->size += SYSFSM_STACK_PIECE;
	}
}

static __always_inline void sysfsm_fill_sighting(struct sysfsm_sighting *sighting,
						 const struct sysfsm_thread *thread,
						 struct pt_regs *regs,
						 const struct sysfsm_violation *violation,
						 const struct sysfsm_kind *kind)
{
	sysfsm_describe(&sighting->event, thread, regs, violation);
	sighting->event.action = SYSFSM_LOG;
	sighting->event.kill_failed = 0;
	sighting->outside = kind->outside;
	sighting->pad = 0;
}

/* Tells user space. Not 0: there is no room. */
static __noinline int sysfsm_sight(struct sysfsm_thread *thread, struct pt_regs *regs,
				   const struct sysfsm_violation *violation)
{
	struct sysfsm_kind kind = {
		.policy = thread->policy,
		.state = violation->state,
		.nr = violation->nr,
		.verdict = violation->verdict,
	};
	const struct sysfsm_history *outside;
	struct sysfsm_sighting *sighting;
	struct sysfsm_sample *sample;
	__u32 zero = 0;
	__u8 one = 1;

	outside = bpf_map_lookup_elem(&outsides, &zero);
	if (outside && outside->len)
		kind.outside = *outside;
	/* A foreign call has a stack of another shape. */
	if (violation->abi == SYSFSM_X86_64 &&
	    !bpf_map_update_elem(&sampled, &kind, &one, BPF_NOEXIST)) {
		sample = bpf_ringbuf_reserve(&events, sizeof(*sample), 0);
		if (sample) {
			sysfsm_fill_sighting(&sample->sighting, thread, regs, violation, &kind);
			sysfsm_copy_stack(sample, regs);
			bpf_ringbuf_submit(sample, 0);
			return 0;
		}
		bpf_map_delete_elem(&sampled, &kind);
	}
	sighting = bpf_ringbuf_reserve(&events, sizeof(*sighting), 0);
	if (!sighting)
		return -1;
	sysfsm_fill_sighting(sighting, thread, regs, violation, &kind);
	bpf_ringbuf_submit(sighting, 0);
	return 0;
}

#endif /* SYSFSM_SIGHT_H */
