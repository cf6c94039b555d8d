// SPDX-License-Identifier: GPL-2.0 OR MIT
/* What the hook itself costs: benches/table takes all else as a distance from this. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

SEC("tp_btf/sys_enter")
int nothing(void *ctx)
{
	return 0;
}
