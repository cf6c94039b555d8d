/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What crosses between user space and the kernel: this header is the source of these layouts and
 * constants. The Rust types and constants are made of them by the skeletons, out of the BTF of the
 * objects; src/kernel compares them with those of the layers that know nothing of BPF.
 */
#ifndef SYSFSM_H
#define SYSFSM_H

#include <linux/types.h>

/* Puts a type into the BTF of the object, so that the skeleton makes a Rust type of it. */
#define SYSFSM_EXPORT(kind, name) const kind name *const export_##name = 0

/* Sizes and bounds that both sides rely on. */
enum sysfsm_limit {
	/* Active handlers of a thread (semantics, rule 3). */
	SYSFSM_HANDLERS = 16,
	/* Symbols of a context at the largest depth, rounded up so that an index can be masked. */
	SYSFSM_HISTORY = 8,
	/* Calls below this number have a column in the table; others are in the map far_cells. */
	SYSFSM_CALLS = 1024,
	/* What violations of a policy are counted by if their kinds find no room: the calls above;
	 * calls by larger numbers; those by the ABI i386, and x32. */
	SYSFSM_CALL_COUNTS = SYSFSM_CALLS + 3,
	/* Signal numbers, 0 among them. */
	SYSFSM_SIGNALS = 65,
	/* Bytes of a file name with its zero (NAME_MAX is 255), and of a path that is compared. */
	SYSFSM_NAME = 256,
	SYSFSM_PATH = 256,
	/* Bytes of a path that is written down (PATH_MAX). */
	SYSFSM_LONG_PATH = 4096,
	/* Names of a path that a policy may have, the root directory counted as one. */
	SYSFSM_PATH_NAMES = 64,
	/* Names and mounts that may lie between a file and the root of its task. */
	SYSFSM_WALK_STEPS = 80,
	/* A policy's cgroup is at most this many levels below the highest one. */
	SYSFSM_LEVELS = 15,
	/* Bytes of the name of a kernel's switch with its zero. */
	SYSFSM_SWITCH_NAME = 32,
	/* The enforcer's cgroup and those above it, as many as are protected. */
	SYSFSM_ENFORCER_CGROUPS = 32,
	/* Bytes of a thread's name with its zero (TASK_COMM_LEN). */
	SYSFSM_COMM = 16,
	/* Bytes of a user stack that are copied, in all and at once. */
	SYSFSM_STACK = 8192,
	SYSFSM_STACK_PIECE = 512,
};

/* Codes of symbols (struct sysfsm_history): a call is its number. */
enum sysfsm_symbol {
	/* No symbol: restart_syscall is none, and its repetition changes nothing. */
	SYSFSM_NO_SYMBOL = 219,
	/* A signal is this plus its number: no 64-bit call has a number with bit 30 set. */
	SYSFSM_SIGNAL_BASE = 0x40000000,
};

/* What is no number of a call, of a policy or of a program. */
enum sysfsm_marker {
	/* The thread was not judged yet. */
	SYSFSM_NO_CALL = 0xffffffff,
	/* The policy is replaced by none, so that its threads are not watched any more, or not yet.
	 */
	SYSFSM_NO_REPLACEMENT = 0xffffffff,
};

/* The state of a frame whose context the machine has no state for: no cell belongs to it. */
#define SYSFSM_NO_STATE 0xffffffffu
/* `older_returns` of an adopted thread that is enforced: any number, until its first call. */
#define SYSFSM_UNTIL_A_CALL 0xffffffffu
/* `slow_from` of a thread without handlers. */
#define SYSFSM_NO_HANDLER 0xffffffffffffffffull

enum sysfsm_verdict {
	SYSFSM_ALLOWED = 0,
	SYSFSM_TRANSITION = 1,
	SYSFSM_ABI = 2,
	SYSFSM_SIGRETURN = 3,
};

enum sysfsm_action {
	SYSFSM_KILL = 0,
	SYSFSM_LOG = 1,
	SYSFSM_DENY = 2,
	/* As SYSFSM_LOG, but the state moves as in a machine that has the transition. */
	SYSFSM_COMPLAIN = 3,
};

/* What is enforced on a thread at every enforcement point that it comes to. */
enum sysfsm_enforcement_state {
	SYSFSM_ENFORCE_NONE = 0,
	/* One call is denied, and was refused at least once. */
	SYSFSM_ENFORCE_DENY = 1,
	/* One call is denied, and was not refused yet: if nothing refuses it, the thread is killed.
	 */
	SYSFSM_ENFORCE_DENY_PENDING = 2,
	/* Everything is refused until the thread is dead. */
	SYSFSM_ENFORCE_KILL = 3,
};

/* How much of a call the enforcement points in place refuse. */
enum sysfsm_deny_coverage {
	SYSFSM_DENY_COVERAGE_NONE = 0,
	/* Some of its effects: those outside of the process, say. */
	SYSFSM_DENY_COVERAGE_PARTIAL = 1,
	SYSFSM_DENY_COVERAGE_FULL = 2,
};

enum sysfsm_abi {
	SYSFSM_X86_64 = 0,
	SYSFSM_I386 = 1,
	SYSFSM_X32 = 2,
};

/*
 * One cell of the table. The rows of all policies lie displaced over each other in one array: the
 * cell of (state, call) is at index state + call, and belongs to the state only if it says so.
 */
struct sysfsm_cell {
	__u32 owner;
	__u32 next;
};
_Static_assert(sizeof(struct sysfsm_cell) == 8, "wire layout");

/* What a policy is besides its cells. States are indices into the table. */
struct sysfsm_policy {
	__u32 exec; /* the state after an exec */
	__u32 lost; /* the state of a thread whose past is unknown; at depth 1 the only state */
	__u32 depth;
	__u32 action; /* enum sysfsm_action */
	__u32 inherit; /* stays over the exec of a binary without a policy */
	__u32 replacement; /* the policy that has replaced this one; 0: the policy is enforced */
	__u32 signals[SYSFSM_SIGNALS]; /* the state in which a handler begins, by signal */
	__u32 padding; /* entries that user space maps have multiples of eight bytes */
};
_Static_assert(sizeof(struct sysfsm_policy) == 28 + 4 * SYSFSM_SIGNALS, "wire layout");

/* Symbols, oldest first; zero past len. */
struct sysfsm_history {
	__u32 len;
	__u32 symbols[SYSFSM_HISTORY];
};
_Static_assert(sizeof(struct sysfsm_history) == 36, "wire layout");

/* A context of a policy, or what is known of one. */
struct sysfsm_context {
	__u32 policy;
	__u32 partial; /* `history` has only the newest symbols of the context */
	struct sysfsm_history history;
};
_Static_assert(sizeof(struct sysfsm_context) == 44, "wire layout");

/* A state of a policy that was replaced: the key that finds where its threads go on. */
struct sysfsm_migration_key {
	__u32 policy; /* the replacement */
	__u32 state;
};
_Static_assert(sizeof(struct sysfsm_migration_key) == 8, "wire layout");

/* A cell for a call that has no column. */
struct sysfsm_far {
	__u32 state;
	__u32 nr;
};
_Static_assert(sizeof(struct sysfsm_far) == 8, "wire layout");

struct sysfsm_frame {
	__u32 state;
	__u32 last; /* the frame's last symbol, or SYSFSM_NO_SYMBOL */
	struct sysfsm_history history; /* of an unmodelled frame: its context */
	__u32 unmodelled; /* the machine has no state for the context: `state` is none */
};
_Static_assert(sizeof(struct sysfsm_frame) == 48, "wire layout");

/* How a handler began. */
struct sysfsm_delivery {
	__u64 pointer; /* the stack pointer that the signal found */
	__u64 from; /* the end of the alternate signal stack that the pointer was on; 0: on none */
	__u64 stack; /* the end of the one that the handler runs on; 0: on none */
	__u32 size; /* of that one */
	__u8 switches; /* the handler begins at its end, and not where the signal found the thread
			*/
	__u8 setup_failed; /* sent since the frame of another handler could not be set up */
	__u8 forgotten; /* the handler has made a call, after which nothing is known of its frame */
	__u8 pad;
};
_Static_assert(sizeof(struct sysfsm_delivery) == 32, "wire layout");

/* A watched thread. The frame in use is at a fixed place; the interrupted ones are a ring. */
struct sysfsm_thread {
	/* 0: not watched. Of a recording: its program. Other versions read it (predecessor.h). */
	__u32 policy;
	__u8 action; /* enum sysfsm_action */
	__u8 enforcement; /* enum sysfsm_enforcement_state */
	__u8 handled; /* the primary program of a hook has handled what the fallback is shown */
	__u8 pad;
	struct sysfsm_frame top;
	/*
	 * A call at or above this stack pointer is judged on the slow path. It is the lowest
	 * pointer that an active handler has interrupted; the largest one, if there is no handler;
	 * 0, if every call is to be judged there.
	 */
	__u64 slow_from;
	__u32 entered; /* the last call that was judged, where programs can be preempted */
	__u32 head; /* the ring's next free slot */
	__u32 below; /* frames in the ring */
	__u32 older_returns; /* from handlers that began before the thread was seen */
	__u32 run; /* of a recording: the run that the thread belongs to */
	__u32 denied_nr; /* the call that was denied last: its registers, as it began */
	__u64 denied_ax;
	/* Of a process's first thread: since when, and how many calls of the process were denied.
	 */
	__u64 denials_since;
	__u32 denials;
	__u32 pad_denials;
	struct sysfsm_frame saved[SYSFSM_HANDLERS];
	struct sysfsm_delivery deliveries[SYSFSM_HANDLERS]; /* what interrupted the saved frames */
};
_Static_assert(sizeof(struct sysfsm_thread) == 112 + 80 * SYSFSM_HANDLERS, "wire layout");

/* A thread: its id, and when it began, since ids are used again. */
struct sysfsm_tid {
	__u64 began;
	__u32 tid;
	__u32 pad;
};
_Static_assert(sizeof(struct sysfsm_tid) == 16, "wire layout");

/* A file: the kernel's device number (not stat's), inode, and its generation. */
struct sysfsm_file {
	__u64 inode;
	__u32 device;
	__u32 generation;
};
_Static_assert(sizeof(struct sysfsm_file) == 16, "wire layout");

/* A descriptor of the process that asked, and the file behind it. */
struct sysfsm_open_file {
	struct sysfsm_file file;
	__u32 fd;
	__u32 tgid; /* of that process, as the kernel counts it */
};
_Static_assert(sizeof(struct sysfsm_open_file) == 24, "wire layout");

/* A file name, zero padded. */
struct sysfsm_name {
	char text[SYSFSM_NAME];
};

/*
 * Where a file or a cgroup is, walking up from below: a path without its first slash, up to some
 * directory, then the names of that directory and of those above it, each with a zero. Zero padded.
 */
struct sysfsm_path {
	char text[SYSFSM_PATH];
};

/* Which binary, in which cgroup; 0: any. */
struct sysfsm_selection {
	__u32 binary;
	__u32 cgroup;
};
_Static_assert(sizeof(struct sysfsm_selection) == 8, "wire layout");

/* A script: a path as an exec can give it, from a root or a working directory. Zero padded. */
struct sysfsm_script {
	struct sysfsm_file from;
	char path[SYSFSM_PATH];
};
_Static_assert(sizeof(struct sysfsm_script) == 16 + SYSFSM_PATH, "wire layout");

/* A running process that is to be adopted, if it still runs this file. */
struct sysfsm_adoptee {
	struct sysfsm_file exe;
	__u32 binary; /* 0: any. Of a recording: its program */
	/* Of a recording: the run of the process, once one of its threads has begun the run. */
	__u32 run;
};
_Static_assert(sizeof(struct sysfsm_adoptee) == 24, "wire layout");

/* A watched thread, as the iterator `watched` reports it. */
struct sysfsm_watched {
	__u32 pid;
	__u32 tid;
	__u32 policy;
	__u32 state;
};
_Static_assert(sizeof(struct sysfsm_watched) == 16, "wire layout");

/* A BPF object of the enforcer's. */
enum sysfsm_object_kind {
	SYSFSM_MAP = 0,
	SYSFSM_PROGRAM = 1,
	SYSFSM_LINK = 2,
};

struct sysfsm_object {
	__u32 kind; /* enum sysfsm_object_kind */
	__u32 id;
};
_Static_assert(sizeof(struct sysfsm_object) == 8, "wire layout");

/* File systems of the kernel's, by the magic numbers of their super blocks
 * (include/uapi/linux/magic.h). */
enum sysfsm_file_system {
	SYSFSM_PROC_FS = 0x9fa0,
	SYSFSM_SYS_FS = 0x62656572,
	SYSFSM_SECURITY_FS = 0x73636673,
	SYSFSM_DEBUG_FS = 0x64626720,
	SYSFSM_BINFMT_FS = 0x42494e4d,
	SYSFSM_CGROUP_FS = 0x27e0eb,
	SYSFSM_CGROUP2_FS = 0x63677270,
};

/* A file of the kernel's that watched threads may not write to, by names that only the kernel
 * gives. Names are padded with zeros. */
struct sysfsm_switch {
	__u64 file_system; /* enum sysfsm_file_system */
	char directory[SYSFSM_SWITCH_NAME]; /* that it is in */
	char name[SYSFSM_SWITCH_NAME]; /* empty: every file of the directories in `directory` */
};
_Static_assert(sizeof(struct sysfsm_switch) == 72, "wire layout");

/* A violation: what makes two of them alike. */
struct sysfsm_violation_kind {
	__u32 policy;
	__u32 state; /* of the thread, before the call */
	__u32 nr; /* where kinds are counted, SYSFSM_CALLS is every number from there on */
	__u8 verdict; /* enum sysfsm_verdict */
	__u8 abi; /* enum sysfsm_abi */
	__u8 action; /* enum sysfsm_action: what was done */
	__u8 pad;
};
_Static_assert(sizeof(struct sysfsm_violation_kind) == 16, "wire layout");

/* One violation, by itself. */
struct sysfsm_event {
	__u64 time; /* CLOCK_MONOTONIC, ns */
	__u64 args[6];
	__u64 ip;
	struct sysfsm_violation_kind kind;
	__u32 pid;
	__u32 tid;
	__u32 kill_failed;
	__u32 pad;
	char comm[SYSFSM_COMM];
};
_Static_assert(sizeof(struct sysfsm_event) == 112, "wire layout");

/* The violations of one kind. */
struct sysfsm_violation_count {
	__u64 count;
	__u64 events; /* of them: have an event of their own */
	__u64 second; /* the one that in_second is about */
	__u32 in_second;
	__u32 pad;
};
_Static_assert(sizeof(struct sysfsm_violation_count) == 32, "wire layout");

/* The violations of a policy by one call whose kinds found no room. */
struct sysfsm_call_count {
	__u64 count;
	__u32 events; /* of them: have an event of their own */
	__u8 reported; /* a violation by this call has an event, whatever its kind */
	__u8 verdict; /* of the last one */
	__u8 action;
	__u8 pad;
};
_Static_assert(sizeof(struct sysfsm_call_count) == 16, "wire layout");

/* A violation of a thread under SYSFSM_COMPLAIN. */
struct sysfsm_complain_event {
	struct sysfsm_event event;
	struct sysfsm_history unmodelled; /* the context; empty: it is the state's */
	__u32 pad;
};
_Static_assert(sizeof(struct sysfsm_complain_event) == 152, "wire layout");

/* What makes two violations under SYSFSM_COMPLAIN alike. */
struct sysfsm_complain_kind {
	struct sysfsm_violation_kind kind;
	struct sysfsm_history unmodelled;
};
_Static_assert(sizeof(struct sysfsm_complain_kind) == 52, "wire layout");

/* The first one of its kind, with the top of the user stack. */
struct sysfsm_complain_sample {
	struct sysfsm_complain_event event;
	__u64 sp;
	__u64 bp;
	__u32 size; /* bytes of the stack that could be read */
	__u32 pad;
	__u8 stack[SYSFSM_STACK];
};
_Static_assert(sizeof(struct sysfsm_complain_sample) == 176 + SYSFSM_STACK, "wire layout");

/*
 * Totals of one CPU. The Rust list of the counters (`Totals`) names each field, or does not
 * compile.
 */
struct sysfsm_counters {
	__u64 judged;
	__u64 violations;
	__u64 kills;
	__u64 kills_failed;
	__u64 denials;
	__u64 judged_at_hook; /* calls that no program at sys_enter was shown */
	__u64 vetoes; /* refusals at enforcement points: a call may meet several */
	__u64 protections; /* what watched threads tried on the enforcer or its BPF objects */
	__u64 events_lost;
	__u64 frames_dropped;
	__u64 fallback_threads; /* threads whose state is, or was, in the map `fallback_states` */
	__u64 threads_refused; /* no room for a thread's state: its process was killed */
	__u64 adopted;
	__u64 unclassified; /* violations whose kind found no room to be counted */
};
_Static_assert(sizeof(struct sysfsm_counters) == 112, "wire layout");

/* One cell of a recording's table: a transition, its counts, and where it leads. */
struct sysfsm_edge {
	__u64 key; /* from which node (the high half), by which symbol; 0: a free cell */
	__u64 calls;
	__u32 next; /* node; 0: not looked up yet */
	__u32 run; /* the last run that took it */
	__u32 runs;
	__u32 pad;
};
_Static_assert(sizeof(struct sysfsm_edge) == 32, "wire layout");

/* A run that has taken an edge. */
struct sysfsm_taken {
	__u32 run;
	__u32 edge;
};
_Static_assert(sizeof(struct sysfsm_taken) == 8, "wire layout");

/* A run that has not ended. */
struct sysfsm_run {
	__u32 threads;
	__u32 adopted; /* its threads were running before, and joined it one after another */
};
_Static_assert(sizeof(struct sysfsm_run) == 8, "wire layout");

/* A user who started runs of a program. */
struct sysfsm_run_user {
	__u32 program;
	__u32 uid;
};
_Static_assert(sizeof(struct sysfsm_run_user) == 8, "wire layout");

/* A cgroup in which runs of a program were started. */
struct sysfsm_run_cgroup {
	__u32 program;
	__u32 cut; /* the path is longer: its highest names are missing */
	struct sysfsm_path path;
};
_Static_assert(sizeof(struct sysfsm_run_cgroup) == 8 + SYSFSM_PATH, "wire layout");

/* Names on the way up from a file or a cgroup, each with a zero. */
struct sysfsm_names {
	__u32 length;
	__u32 room; /* no name begins after this many bytes */
	char text[SYSFSM_LONG_PATH + SYSFSM_NAME];
};

/* Where the path of a new program comes from. */
enum sysfsm_path_origin {
	/* The exec gave it: it is absolute. */
	SYSFSM_PATH_GIVEN = 0,
	/* The names lead to the program's file. */
	SYSFSM_PATH_FOUND = 1,
	/* The exec gave a path from the directory that the names lead to. */
	SYSFSM_PATH_BELOW = 2,
	/* There is none: the names are too many. */
	SYSFSM_PATH_TOO_LONG = 3,
};

/* A recording sees a program for the first time. */
struct sysfsm_new_program_event {
	__u32 program;
	__u32 path_origin; /* enum sysfsm_path_origin */
	char path[SYSFSM_LONG_PATH]; /* as the exec gave it */
	struct sysfsm_names names; /* from a file up to the root */
};
_Static_assert(sizeof(struct sysfsm_new_program_event) == 16 + 2 * SYSFSM_LONG_PATH + SYSFSM_NAME,
	       "wire layout");

#endif /* SYSFSM_H */
