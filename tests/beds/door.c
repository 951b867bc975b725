/* Goes to the daemon's door over many connections at once, as a login program does, and stays for as long as it is asked to.
 * door CONNECTIONS [SECONDS]; tells how many were let in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int goes_in(void) {
    struct sockaddr_un door = {.sun_family = AF_UNIX, .sun_path = "/run/authflow/door"};
    static const char hello[] = "\0AUTH EXTERNAL 30\r\n", begin[] = "BEGIN\r\n";
    char answer[99] = "";
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return connect(fd, (struct sockaddr *)&door, sizeof door) == 0
        && send(fd, hello, sizeof hello - 1, MSG_NOSIGNAL) > 0
        && recv(fd, answer, sizeof answer - 1, 0) > 0 && strncmp(answer, "OK ", 3) == 0
        && send(fd, begin, sizeof begin - 1, MSG_NOSIGNAL) > 0;
}

int main(int argc, char **argv) {
    int inside = 0;
    for (int left = atoi(argv[1]); left > 0; left--)
        inside += goes_in();
    printf("%d\n", inside);
    fflush(stdout);
    if (argc > 2)
        sleep(atoi(argv[2]));
    return 0;
}
