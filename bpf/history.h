/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* A context that slides over the symbols (src/machine/context.rs). */
#ifndef SYSFSM_HISTORY_H
#define SYSFSM_HISTORY_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "sysfsm.h"

/* Drops the oldest symbol. */
static __always_inline void sysfsm_history_shift(struct sysfsm_history *history)
{
	for (int i = 0; i < SYSFSM_HISTORY - 1; i++)
		history->symbols[i] = history->symbols[i + 1];
	history->symbols[SYSFSM_HISTORY - 1] = 0;
	history->len--;
}

/* Appends a symbol, and keeps the last `keep` symbols: at least one. */
static __always_inline void sysfsm_history_push(struct sysfsm_history *history, __u32 symbol,
						__u32 keep)
{
	if (history->len >= keep)
		sysfsm_history_shift(history);
	history->symbols[history->len & (SYSFSM_HISTORY - 1)] = symbol;
	history->len++;
}

#endif /* SYSFSM_HISTORY_H */
