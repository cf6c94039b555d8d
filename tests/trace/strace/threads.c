#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#include <string.h>
static void h(int s){ getuid(); }
static void*t(void*p){ getppid(); pthread_kill(pthread_self(),SIGUSR1); if(p){ usleep(1000); execl(p,p,"x",NULL);} pause(); return 0; }
int main(int c,char**v){ if(c>1) return 7; struct sigaction a={.sa_handler=h}; sigaction(SIGUSR1,&a,0);
 pthread_t p; pthread_create(&p,0,t,0); usleep(20000); pthread_create(&p,0,t,v[0]); for(;;) pause(); }
