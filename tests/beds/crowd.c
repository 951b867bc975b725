/* Login programs in great number, each with a session of its own.
 *
 *   crowd SERVICE USER COUNT
 *
 * Prints "in N" after each thousand, and "all out" once the last of them has ended. A login program becomes sleep(1) once it is open: the process that leads the
 * session is still the same, and takes little room. */
#include <security/pam_appl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int silent(int count, const struct pam_message **messages, struct pam_response **responses, void *unused)
{
    (void)messages, (void)unused;
    *responses = calloc(count, sizeof **responses);
    return *responses == NULL ? PAM_CONV_ERR : PAM_SUCCESS;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    struct pam_conv conversation = { silent, NULL };
    int opened[2], in = 0;
    char one;
    if (pipe(opened) != 0)
        return 3;
    for (int i = 0; i < atoi(argv[3]); i++) {
        pid_t child = fork();
        if (child < 0)
            break;
        if (child == 0) {
            pam_handle_t *handle;
            close(opened[0]);
            if (pam_start(argv[1], argv[2], &conversation, &handle) != PAM_SUCCESS)
                _exit(1);
            if (pam_open_session(handle, 0) == PAM_SUCCESS && write(opened[1], "+", 1) == 1) {
                close(opened[1]);
                execl("/bin/sleep", "sleep", "10000", (char *)NULL);
            }
            if (write(opened[1], "-", 1) != 1)
                _exit(1);
            _exit(1);
        }
        /* One after the other, as logins come; each tells when it is in. */
        if (read(opened[0], &one, 1) == 1 && one == '+')
            in++;
        if (in % 1000 == 0) {
            printf("in %d\n", in);
            fflush(stdout);
        }
    }
    while (wait(NULL) > 0)
        ;
    puts("all out");
    return 0;
}
