/* How long the hashes of a login took, from the mapping of their memory to its return: told by the module's own calls, and not by another copy of
 * the hash, which the linker's choice of places alone makes some percent faster or slower. To be preloaded. */
#define _GNU_SOURCE
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Argon2's 19 MiB, and not the 16 of yescrypt; nothing else in a login maps as much. */
static const size_t MEMORY = 18 << 20;

static int64_t began, took;

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

/* In nanoseconds, since it was asked last. */
int64_t hashes_took(void)
{
    int64_t all = took;
    took = 0;
    return all;
}

void *mmap(void *start, size_t length, int protection, int flags, int file, off_t offset)
{
    if (length >= MEMORY && (flags & MAP_ANONYMOUS))
        began = now();
    return (void *)syscall(SYS_mmap, start, length, protection, flags, file, offset);
}

void *mmap64(void *, size_t, int, int, int, off_t) __attribute__((alias("mmap")));

int munmap(void *start, size_t length)
{
    int done = (int)syscall(SYS_munmap, start, length);
    if (length >= MEMORY && began != 0) {
        took += now() - began;
        began = 0;
    }
    return done;
}
