/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What crosses between user space and the kernel. This header is the source of these layouts;
 * src/kernel uses the types that the skeleton derives from it.
 */
#ifndef SYSFSM_H
#define SYSFSM_H

#include <linux/types.h>

/* Frames of a thread, the program's own among them (MAX_FRAMES in src/machine/frames.rs). */
#define SYSFSM_FRAMES 16
/* Symbols of a context at the largest depth, rounded up so that an index can be masked. */
#define SYSFSM_HISTORY 8
/* Calls below this number have a column in the table; others are in the map far_cells. */
#define SYSFSM_CALLS 1024
/* In a history a signal is this plus its number: no 64-bit call has a number with bit 30 set. */
#define SYSFSM_SIGNAL_BASE 0x40000000u
#define SYSFSM_SIGNALS 65
/* "No last symbol": restart_syscall is no symbol and its repetition changes nothing anyway. */
#define SYSFSM_NONE 219
/* "No call was judged yet" of a thread. */
#define SYSFSM_NO_CALL 0xffffffffu
/* Bytes of a file name with its zero (NAME_MAX is 255), and of a script's path. */
#define SYSFSM_NAME 256
#define SYSFSM_PATH 256
#define SYSFSM_COMM 16
/* How much of a user stack is copied, and how much at once. */
#define SYSFSM_STACK 8192
#define SYSFSM_STACK_PIECE 512

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
	SYSFSM_LEARN = 3, /* as log; the state moves as in a machine that has the transition */
};

/* Whether a thread is refused wherever a veto looks. */
enum sysfsm_sentence {
	SYSFSM_FREE = 0,
	SYSFSM_DENIED = 1, /* for the call that it is in */
	SYSFSM_UNMET = 2, /* the same, but no veto has refused it yet: if none does, it is killed */
	SYSFSM_CONDEMNED = 3, /* until it is dead */
};

/* How surely a call is refused to a thread under a sentence. */
enum sysfsm_refusable {
	SYSFSM_NEVER = 0,
	SYSFSM_PARTLY = 1, /* as far as it reaches outside of the process, say */
	SYSFSM_SURELY = 2,
};

enum sysfsm_abi {
	SYSFSM_X86_64 = 0,
	SYSFSM_I386 = 1,
	SYSFSM_X32 = 2,
};

/*
 * One cell of the table. All rows of all policies lie displaced over each other in one array: the
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
	__u32 members; /* a row that owns the cells of the alphabet */
	__u32 singles; /* a row that leads to the contexts of one symbol */
	__u32 depth;
	__u32 action;
	__u32 inherit; /* stays over the exec of a binary without a policy */
	__u32 successor; /* the policy that has taken its place, if it is not 0 */
	__u32 signals[SYSFSM_SIGNALS]; /* the state in which a handler begins, by signal */
	__u32 padding; /* entries that user space maps have multiples of eight bytes */
};
_Static_assert(sizeof(struct sysfsm_policy) == 36 + 4 * SYSFSM_SIGNALS, "wire layout");

/* The successor of a policy that does not hold any more, so that its threads are not watched, or
 * not yet. */
#define SYSFSM_NOBODY 0xffffffffu

/* Symbols, oldest first; zero past len. */
struct sysfsm_history {
	__u32 len;
	__u32 symbols[SYSFSM_HISTORY];
};
_Static_assert(sizeof(struct sysfsm_history) == 36, "wire layout");

/* A context of a policy, of two symbols or more: the key that finds its state. */
struct sysfsm_context {
	__u32 policy;
	struct sysfsm_history history;
};
_Static_assert(sizeof(struct sysfsm_context) == 40, "wire layout");

/* A state of a policy that another one has replaced: the key that finds where its threads go on. */
struct sysfsm_departure {
	__u32 policy; /* the successor */
	__u32 state;
};
_Static_assert(sizeof(struct sysfsm_departure) == 8, "wire layout");

/* Where they go on. */
struct sysfsm_arrival {
	__u32 state;
	struct sysfsm_history seen; /* their context, if the successor has no state for it */
};
_Static_assert(sizeof(struct sysfsm_arrival) == 40, "wire layout");

/* A cell for a call that has no column. */
struct sysfsm_far {
	__u32 state;
	__u32 nr;
};
_Static_assert(sizeof(struct sysfsm_far) == 8, "wire layout");

struct sysfsm_frame {
	__u32 state;
	__u32 last; /* the frame's last symbol, or SYSFSM_NONE */
	struct sysfsm_history seen; /* symbols seen while the state is lost */
	__u32 outside; /* `seen` is the whole context, which is none of the machine's */
};
_Static_assert(sizeof(struct sysfsm_frame) == 48, "wire layout");

/* A watched thread. The frame in use is at a fixed place; the interrupted ones are a ring. */
struct sysfsm_thread {
	__u32 policy; /* 0: not watched. Of a recording: its program */
	__u8 action; /* enum sysfsm_action */
	__u8 sentence; /* enum sysfsm_sentence */
	__u8 seen; /* what the thread meets was seen by the first of two programs */
	__u8 pad;
	struct sysfsm_frame top;
	__u32 entered; /* the last call that was judged, where programs can be preempted */
	__u32 head; /* the ring's next free slot */
	__u32 below; /* frames in the ring */
	__u32 unknown_returns; /* returns to frames that are not known */
	__u32 run; /* of a recording: the run that it belongs to */
	__u32 pad_run;
	struct sysfsm_frame saved[SYSFSM_FRAMES];
};
_Static_assert(sizeof(struct sysfsm_thread) == 80 + 48 * SYSFSM_FRAMES, "wire layout");

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
 * Where a file or a cgroup is, as one comes there from below: a path without its first slash, up to
 * some directory, then the names of that directory and of those above it, each with a zero. Zero
 * padded.
 */
struct sysfsm_path {
	char text[SYSFSM_PATH];
};

/* So many levels below the highest one may a policy's cgroup be. */
#define SYSFSM_LEVELS 15

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
	__u32 run; /* of a recording: the run that its threads belong to, once one of them has begun
		      it */
};
_Static_assert(sizeof(struct sysfsm_adoptee) == 24, "wire layout");

/* A watched thread, for who asks. */
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
	__u32 kind;
	__u32 id;
};
_Static_assert(sizeof(struct sysfsm_object) == 8, "wire layout");

/* A violation. */
struct sysfsm_event {
	__u64 time; /* CLOCK_MONOTONIC, ns */
	__u64 args[6];
	__u64 ip;
	__u32 policy;
	__u32 state; /* before the call */
	__u32 pid;
	__u32 tid;
	__u32 nr;
	__u8 verdict;
	__u8 abi;
	__u8 action;
	__u8 kill_failed;
	char comm[SYSFSM_COMM];
};
_Static_assert(sizeof(struct sysfsm_event) == 104, "wire layout");

/* What makes two violations of one kind. */
struct sysfsm_kind_of_violation {
	__u32 policy;
	__u32 state;
	__u32 nr;
	__u8 verdict;
	__u8 abi;
	__u8 action;
	__u8 pad;
};
_Static_assert(sizeof(struct sysfsm_kind_of_violation) == 16, "wire layout");

/* How many there were of a kind. */
struct sysfsm_tally {
	__u64 count;
	__u64 told; /* of them: in full */
	__u64 second; /* the one that in_second is about */
	__u32 in_second;
	__u32 pad;
};
_Static_assert(sizeof(struct sysfsm_tally) == 32, "wire layout");

/* The same of a thread whose machine is to learn: with the context, where it is not the state's. */
struct sysfsm_sighting {
	struct sysfsm_event event;
	struct sysfsm_history outside; /* empty: the context is the state's */
	__u32 pad;
};
_Static_assert(sizeof(struct sysfsm_sighting) == 144, "wire layout");

/* The first sighting of its kind: with the top of the user stack. */
struct sysfsm_sample {
	struct sysfsm_sighting sighting;
	__u64 sp;
	__u64 bp;
	__u32 size; /* bytes of the stack that could be read */
	__u32 pad;
	__u8 stack[SYSFSM_STACK];
};
_Static_assert(sizeof(struct sysfsm_sample) == 168 + SYSFSM_STACK, "wire layout");

/* What makes two sightings the same. */
struct sysfsm_kind {
	struct sysfsm_history outside;
	__u32 policy;
	__u32 state;
	__u32 nr;
	__u32 verdict;
};
_Static_assert(sizeof(struct sysfsm_kind) == 52, "wire layout");

/* Totals of one CPU. */
struct sysfsm_counters {
	__u64 judged;
	__u64 violations;
	__u64 kills;
	__u64 kills_failed;
	__u64 denials;
	__u64 caught_up; /* calls that were judged at a choke point, sys_enter having missed them */
	__u64 vetoes; /* refusals at choke points: a call may meet several */
	__u64 protections; /* what watched threads tried on the enforcer or its BPF objects */
	__u64 events_lost;
	__u64 frames_dropped;
	__u64 spares; /* threads whose state is, or was, in the map `spares` */
	__u64 threads_refused; /* no room for a thread's state: its process was killed */
	__u64 adopted;
	__u64 untallied; /* violations of a kind that found no room to be counted apart */
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

#define SYSFSM_LONG_PATH 4096 /* PATH_MAX */

/* Names on the way up from a file or a cgroup, each with a zero. */
struct sysfsm_names {
	__u32 length;
	__u32 room; /* no name begins after so many bytes */
	char text[SYSFSM_LONG_PATH + SYSFSM_NAME];
};

/* By what path a recording has met a program. */
enum sysfsm_whence {
	SYSFSM_GIVEN = 0, /* by the one that the exec gave: it is absolute */
	SYSFSM_FOUND = 1, /* it is the file that the names lead to */
	SYSFSM_BELOW =
		2, /* by the one that the exec gave, from the directory that the names lead to */
	SYSFSM_NOWHERE = 3, /* the names are too many */
};

/* A recording meets a program for the first time. */
struct sysfsm_meeting {
	__u32 program;
	__u32 whence; /* enum sysfsm_whence */
	char path[SYSFSM_LONG_PATH]; /* as the exec gave it */
	struct sysfsm_names names; /* from a file up to the root */
};
_Static_assert(sizeof(struct sysfsm_meeting) == 16 + 2 * SYSFSM_LONG_PATH + SYSFSM_NAME,
	       "wire layout");

#endif /* SYSFSM_H */
