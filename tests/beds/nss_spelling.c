/* A name service that knows each local user in capitals and with a realm as well, as directories do: Alice, ALICE and alice@corp are alice.
 * To stand behind "files" in nsswitch.conf.
 */
#include <ctype.h>
#include <errno.h>
#include <nss.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

enum nss_status _nss_spelling_getpwnam_r(const char *name, struct passwd *found, char *text, size_t size, int *error)
{
    char own[64];
    size_t length = strcspn(name, "@");
    if (length >= sizeof own)
        return NSS_STATUS_NOTFOUND;
    for (size_t i = 0; i < length; i++)
        own[i] = (char)tolower((unsigned char)name[i]);
    own[length] = '\0';

    FILE *users = fopen("/etc/passwd", "re");
    struct passwd *user = NULL;
    if (users == NULL) {
        *error = errno;
        return NSS_STATUS_UNAVAIL;
    }
    int code;
    while ((code = fgetpwent_r(users, found, text, size, &user)) == 0 && strcmp(user->pw_name, own) != 0)
        ;
    fclose(users);
    if (code == ERANGE) {
        *error = ERANGE;
        return NSS_STATUS_TRYAGAIN;
    }
    return code == 0 ? NSS_STATUS_SUCCESS : NSS_STATUS_NOTFOUND;
}
