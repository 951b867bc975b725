/* An application that logs a user in, and searches its own memory for what the user answered: what a module must not leave there.
 *
 *   left_secrets SERVICE USER PASSWORD CODE
 *
 * PASSWORD and CODE come in hexadecimal with each byte masked (see MASK), so that no copy is the application's own. Prints after each call what
 * it came to and how often password and code are there: "authenticate 0: 0 0". */
#include <fcntl.h>
#include <security/pam_appl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MASK 0x5a

struct secret {
    unsigned char masked[64];
    size_t length;
};

static struct secret password, code;

static void take(struct secret *secret, const char *hex)
{
    unsigned byte;
    for (; secret->length < sizeof secret->masked && sscanf(hex, "%2x", &byte) == 1; hex += 2)
        secret->masked[secret->length++] = byte;
}

static int is_at(const unsigned char *place, const struct secret *secret)
{
    for (size_t i = 0; i < secret->length; i++)
        if (place[i] != (secret->masked[i] ^ MASK))
            return 0;
    return 1;
}

/* How often the secret stands in memory that can be written. */
static int copies(const struct secret *secret)
{
    /* What the search itself writes is no find: copies of memory, and addresses that have the digits of a code. */
    static struct {
        unsigned char piece[1 << 20];
        char maps[1 << 20];
    } own;
    const unsigned long own_start = (unsigned long)&own, own_end = own_start + sizeof own;
    int found = 0, memory = open("/proc/self/mem", O_RDONLY), file = open("/proc/self/maps", O_RDONLY);
    size_t length = 0;
    ssize_t got;
    if (memory < 0 || file < 0)
        exit(3);
    /* At once: what is mapped meanwhile would move the lines. */
    while ((got = read(file, own.maps + length, sizeof own.maps - 1 - length)) > 0)
        length += got;
    own.maps[length] = '\0';
    close(file);
    for (char *line = own.maps; *line != '\0'; line = strchr(line, '\n') + 1) {
        unsigned long start, end;
        char mode[5];
        if (sscanf(line, "%lx-%lx %4s", &start, &end, mode) != 3 || mode[0] != 'r' || mode[1] != 'w')
            continue;
        /* Pieces overlap, so that none is missed that lies across their edge. */
        for (unsigned long at = start; at < end; at += sizeof own.piece - sizeof secret->masked) {
            size_t most = end - at < sizeof own.piece ? end - at : sizeof own.piece;
            got = pread(memory, own.piece, most, at);
            for (ssize_t i = 0; i + (ssize_t)secret->length <= got; i++) {
                int is_own = at + i + secret->length > own_start && at + i < own_end;
                int is_new = at == start || i + secret->length > sizeof secret->masked;
                if (is_new && !is_own && is_at(own.piece + i, secret))
                    found++;
            }
        }
    }
    explicit_bzero(own.piece, sizeof own.piece);
    close(memory);
    return found;
}

static int answer(int count, const struct pam_message **messages, struct pam_response **responses, void *unused)
{
    (void)unused;
    *responses = calloc(count, sizeof **responses);
    for (int i = 0; *responses != NULL && i < count; i++) {
        if (messages[i]->msg_style != PAM_PROMPT_ECHO_OFF)
            continue;
        const struct secret *secret = strstr(messages[i]->msg, "assword") != NULL ? &password : &code;
        char *text = calloc(1, secret->length + 1);
        for (size_t byte = 0; text != NULL && byte < secret->length; byte++)
            text[byte] = secret->masked[byte] ^ MASK;
        (*responses)[i].resp = text;
        /* A search that misses this one proves nothing. */
        if (copies(secret) == 0)
            exit(4);
    }
    return *responses == NULL ? PAM_CONV_ERR : PAM_SUCCESS;
}

static int tell(const char *call, int came_to)
{
    int of_password = copies(&password), of_code = copies(&code);
    printf("%s %d: %d %d\n", call, came_to, of_password, of_code);
    return came_to == PAM_SUCCESS;
}

int main(int argc, char **argv)
{
    struct pam_conv conversation = { answer, NULL };
    pam_handle_t *handle;
    if (argc != 5)
        return 2;
    take(&password, argv[3]);
    take(&code, argv[4]);
    if (pam_start(argv[1], argv[2], &conversation, &handle) != PAM_SUCCESS)
        return 3;
    if (tell("authenticate", pam_authenticate(handle, 0)) && tell("acct_mgmt", pam_acct_mgmt(handle, 0))
        && tell("open_session", pam_open_session(handle, 0)))
        tell("close_session", pam_close_session(handle, 0));
    tell("end", pam_end(handle, PAM_SUCCESS));
    return 0;
}
