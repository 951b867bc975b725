/* A directory that does not answer when it is asked for root's groups. To stand behind "files" in nsswitch.conf. */
#include <grp.h>
#include <nss.h>
#include <string.h>
#include <unistd.h>

enum nss_status _nss_hung_initgroups_dyn(const char *user, gid_t group, long int *start, long int *size, gid_t **groups,
                                         long int limit, int *error)
{
    (void)group, (void)start, (void)size, (void)groups, (void)limit, (void)error;
    while (strcmp(user, "root") == 0)
        pause();
    return NSS_STATUS_NOTFOUND;
}
