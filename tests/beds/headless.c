/* A program whose first thread has ended: in /proc it looks like one that is over, and it goes on. */
#include <pthread.h>
#include <stddef.h>
#include <unistd.h>

static void *go_on(void *unused)
{
    (void)unused;
    for (;;)
        pause();
    return NULL;
}

int main(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, go_on, NULL) != 0)
        return 1;
    pthread_exit(NULL);
}
