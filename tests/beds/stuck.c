/* A file system in which whoever closes a file waits until this program ends, and cannot be killed meanwhile. The file's size tells how many
 * do: of a program that closes it as it executes another one the kernel tells nobody what it waits for.
 *
 *   stuck FOLDER */
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static int device;
static unsigned long closing;

static void answer(const struct fuse_in_header *asked, int error, const void *body, size_t length)
{
    char message[512];
    struct fuse_out_header head = { .len = sizeof head + length, .error = error, .unique = asked->unique };
    memcpy(message, &head, sizeof head);
    if (length > 0)
        memcpy(message + sizeof head, body, length);
    /* Who asked may be gone. */
    if (write(device, message, head.len) < 0)
        return;
}

static struct fuse_attr attributes(unsigned long node)
{
    unsigned mode = node == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0644;
    return (struct fuse_attr){ .ino = node, .mode = mode, .nlink = 1, .size = closing, .blksize = 4096 };
}

int main(int argc, char **argv)
{
    static char message[1 << 18];
    char options[100];
    if (argc != 2 || (device = open("/dev/fuse", O_RDWR)) < 0)
        return 1;
    snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", device);
    if (mount("stuck", argv[1], "fuse", 0, options) != 0)
        return 2;
    while (read(device, message, sizeof message) > 0) {
        const struct fuse_in_header *asked = (void *)message;
        switch (asked->opcode) {
        case FUSE_INIT: {
            struct fuse_init_out out = { .major = 7, .minor = 31, .max_write = 4096, .time_gran = 1 };
            answer(asked, 0, &out, sizeof out);
            break;
        }
        case FUSE_LOOKUP: {
            struct fuse_entry_out out = { .nodeid = 2, .attr = attributes(2) };
            answer(asked, 0, &out, sizeof out);
            break;
        }
        case FUSE_GETATTR: {
            struct fuse_attr_out out = { .attr = attributes(asked->nodeid) };
            answer(asked, 0, &out, sizeof out);
            break;
        }
        case FUSE_OPEN: {
            struct fuse_open_out out = { .fh = 1 };
            answer(asked, 0, &out, sizeof out);
            break;
        }
        /* The close: never answered. The others want no answer. */
        case FUSE_FLUSH:
            closing++;
            break;
        case FUSE_INTERRUPT:
        case FUSE_FORGET:
        case FUSE_BATCH_FORGET:
            break;
        default:
            answer(asked, -38, NULL, 0);
        }
    }
    return 0;
}
