#define _GNU_SOURCE
#include <signal.h>
#include <unistd.h>
#include <stdlib.h>
#include <sys/wait.h>
static void two(int s){ getuid(); }
static void one(int s){ getgid(); raise(SIGUSR2); getppid(); }
int main(int c,char**v){
 if(c>1) return 7;
 struct sigaction a={.sa_handler=one}, b={.sa_handler=two}, o={.sa_handler=two,.sa_flags=SA_RESETHAND};
 sigaction(SIGUSR1,&a,0); sigaction(SIGUSR2,&b,0); sigaction(SIGALRM,&o,0); signal(SIGHUP,SIG_IGN);
 raise(SIGUSR1); raise(SIGHUP); raise(SIGALRM); raise(SIGCHLD);
 int st; if(!fork()){ raise(SIGUSR2); _exit(3);} wait(&st);
 if(!vfork()){ execl(v[0],v[0],"x",NULL); _exit(1);} wait(&st);
 write(1,"bye",3); return 0; }
