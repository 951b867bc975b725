/* Preloaded: whoever removes a pending login first says so (/run/removing) and waits to be told to go on (/run/go-on). What happens
 * between a look at such a file and its end can thus happen for sure. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int unlink(const char *path)
{
    static int (*real)(const char *);
    int said;

    if (!real)
        real = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
    if (strncmp(path, "/run/authflow/pending/", 22) == 0) {
        said = open("/run/removing", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        if (said >= 0)
            close(said);
        while (access("/run/go-on", F_OK) != 0)
            usleep(10000);
    }
    return real(path);
}
