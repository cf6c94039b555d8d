/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* A context that slides over the symbols (src/machine/context.rs). */
#ifndef SYSFSM_HISTORY_H
#define SYSFSM_HISTORY_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "sysfsm.h"

/* Drops the oldest symbol. */
static __always_inline void sysfsm_shift(struct sysfsm_history *seen)
{
	for (int i = 0; i < SYSFSM_HISTORY - 1; i++)
		seen->symbols[i] = seen->symbols[i + 1];
	seen->symbols[SYSFSM_HISTORY - 1] = 0;
	seen->len--;
}

/* One more symbol, of which so many are kept: at least one. */
static __always_inline void sysfsm_then(struct sysfsm_history *seen, __u32 symbol, __u32 keep)
{
	if (seen->len >= keep)
		sysfsm_shift(seen);
	seen->symbols[seen->len & (SYSFSM_HISTORY - 1)] = symbol;
	seen->len++;
}

#endif /* SYSFSM_HISTORY_H */
