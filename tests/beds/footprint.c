/* An application that calls PAM again and again, and looks at itself after every call: what a module must not leave behind are threads,
 * descriptors and memory.
 *
 *   footprint WHAT SERVICE USER TIMES ANSWER...
 *
 * WHAT is login (in and out again), denied (a login that ends with the answers) or change (of the password). Questions get the answers in turn,
 * over and over. Prints "kept CALL THREADS DESCRIPTORS" for a call that left some, and at the end "grown KIB" since the twentieth time. */
#include <dirent.h>
#include <security/pam_appl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

static char **all_answers, **next_answer;

static int answer(int count, const struct pam_message **messages, struct pam_response **responses, void *unused)
{
    (void)unused;
    struct pam_response *answers = calloc(count, sizeof *answers);
    if (answers == NULL)
        return PAM_CONV_ERR;
    for (int i = 0; i < count; i++) {
        if (messages[i]->msg_style != PAM_PROMPT_ECHO_OFF)
            continue;
        if (*next_answer == NULL)
            next_answer = all_answers;
        answers[i].resp = strdup(*next_answer++);
    }
    *responses = answers;
    return PAM_SUCCESS;
}

/* The entries of a folder of /proc/self; reading it takes a descriptor of its own, in every count alike. */
static int entries(const char *folder)
{
    int count = 0;
    DIR *open = opendir(folder);
    while (open != NULL && readdir(open) != NULL)
        count++;
    if (open != NULL)
        closedir(open);
    return count;
}

static long resident_kib(void)
{
    long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (statm == NULL || fscanf(statm, "%*s %ld", &pages) != 1)
        exit(3);
    fclose(statm);
    return pages * 4;
}

static int threads, descriptors;

/* The wait after a denial is the application's. */
static void go_on(int code, unsigned delay, void *unused)
{
    (void)code, (void)delay, (void)unused;
}

static void check_for(int wanted, const char *call, int code)
{
    int more_threads = entries("/proc/self/task") - threads, more_descriptors = entries("/proc/self/fd") - descriptors;
    if (code != wanted) {
        printf("%s came to: %d\n", call, code);
        exit(1);
    }
    if (more_threads != 0 || more_descriptors != 0)
        printf("kept %s %d %d\n", call, more_threads, more_descriptors);
}

static void check(const char *call, int code)
{
    check_for(PAM_SUCCESS, call, code);
}

static void log_in_and_out(pam_handle_t *handle)
{
    check("authenticate", pam_authenticate(handle, 0));
    check("acct_mgmt", pam_acct_mgmt(handle, 0));
    check("setcred", pam_setcred(handle, PAM_ESTABLISH_CRED));
    check("open_session", pam_open_session(handle, 0));
    check("close_session", pam_close_session(handle, 0));
    check("delete_cred", pam_setcred(handle, PAM_DELETE_CRED));
}

int main(int argc, char **argv)
{
    if (argc < 6)
        return 2;
    const char *what = argv[1];
    struct pam_conv conversation = { answer, NULL };
    all_answers = next_answer = argv + 5;
    long early = 0;
    /* libc keeps one connection to the log, and so does every application that logs. */
    syslog(LOG_AUTHPRIV | LOG_INFO, "footprint begins");
    threads = entries("/proc/self/task");
    descriptors = entries("/proc/self/fd");
    for (int i = 0; i < atoi(argv[4]); i++) {
        pam_handle_t *handle;
        check("start", pam_start(argv[2], argv[3], &conversation, &handle));
        if (strcmp(what, "login") == 0)
            log_in_and_out(handle);
        else if (strcmp(what, "denied") == 0) {
            check("set_item", pam_set_item(handle, PAM_FAIL_DELAY, go_on));
            check_for(PAM_AUTH_ERR, "authenticate", pam_authenticate(handle, 0));
        } else if (strcmp(what, "change") == 0)
            check("chauthtok", pam_chauthtok(handle, 0));
        else
            return 2;
        check("end", pam_end(handle, PAM_SUCCESS));
        if (i == 20)
            early = resident_kib();
    }
    printf("grown %ld\n", resident_kib() - early);
    return 0;
}
