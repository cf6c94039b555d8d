/*
 * A timer's handler that returns, or is left by siglongjmp: jumps COUNT INTERVAL DEPTH WAYS
 *
 * COUNT signals come, each INTERVAL microseconds after the handlers before it have ended. WAYS are
 * letters: `o` SA_ONSTACK, `n` SA_NODEFER (each handler waits for the next signal until DEPTH
 * handlers are nested), `a` SS_AUTODISARM, `s` another alternate stack in each handler, `j` a third
 * of the handlers are left by siglongjmp, the others return.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31) /* linux/signal.h, which libc's headers exclude */
#endif
#define STACKS 20
#define SIZE (256 << 10)

static sigjmp_buf env;
static volatile long delivered, left;
static volatile int depth, deepest;
static int most, onstack, nodefer, autodisarm, second, jump;
static unsigned int chance = 1;
static char *stacks;
static struct itimerval timer;

static unsigned int below(unsigned int n)
{
	chance = chance * 1103515245 + 12345;
	return (chance >> 16) % n;
}

/* An alternate stack for what interrupts a handler as deep as this. */
static void arm(int level)
{
	stack_t stack = { 0 };

	if (!onstack)
		return;
	stack.ss_sp = stacks + (second ? level % STACKS : 0) * SIZE;
	stack.ss_size = SIZE;
	stack.ss_flags = autodisarm ? SS_AUTODISARM : 0;
	if (sigaltstack(&stack, NULL))
		abort();
}

static void handler(int signal)
{
	int before = depth;
	long number;

	number = ++delivered;
	depth = before + 1;
	if (depth > deepest)
		deepest = depth;
	syscall(SYS_getuid);
	if (second)
		arm(depth);
	if (nodefer && depth < most) {
		setitimer(ITIMER_REAL, &timer, NULL);
		while (delivered == number)
			;
	}
	syscall(SYS_geteuid);
	if (jump && below(3) == 0)
		siglongjmp(env, 1);
	depth = before;
}

/* Calls from ever other depths of the stack. */
static void work(int deeper)
{
	volatile char room[200];

	room[0] = deeper;
	if (room[0]) {
		work(deeper - 1);
		return;
	}
	syscall(SYS_getpid);
	for (volatile int i = 0; i < 500; i++)
		;
	syscall(SYS_getppid);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = handler };
	const char *ways = argv[4];
	volatile long seen = -1;
	long count = atol(argv[1]);

	timer.it_value.tv_usec = atol(argv[2]);
	most = atoi(argv[3]);
	onstack = !!strchr(ways, 'o');
	nodefer = !!strchr(ways, 'n');
	autodisarm = !!strchr(ways, 'a');
	second = !!strchr(ways, 's');
	jump = !!strchr(ways, 'j');
	stacks = malloc(STACKS * SIZE);
	arm(0);
	action.sa_flags = (onstack ? SA_ONSTACK : 0) | (nodefer ? SA_NODEFER : 0);
	sigaction(SIGALRM, &action, NULL);
	if (sigsetjmp(env, 1)) {
		left++;
		depth = 0;
		/* SS_AUTODISARM has taken it away. */
		arm(0);
	}
	while (delivered < count) {
		/* All handlers have ended: the next signal comes somewhere in the work. */
		if (delivered != seen) {
			seen = delivered;
			setitimer(ITIMER_REAL, &timer, NULL);
		}
		work(below(20));
	}
	signal(SIGALRM, SIG_IGN);
	printf("%ld delivered, %ld left, %d deep\n", delivered, left, deepest);
	return 0;
}
