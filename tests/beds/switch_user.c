/* An application that changes PAM_USER on the way, as one does whose user has found out how (CVE-2024-9313 in authd).
 *
 *   switch_user SERVICE USER OTHER WHEN ANSWER...
 *
 * WHEN is never, prompt (while the last question is answered), auth, or account: after that phase. Prints the phases that succeeded, and what refused: "authenticate acct_mgmt open_session: 6". */
#include <security/pam_appl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pam_handle_t *handle;
static const char *user, *other, *when;
static char **answers;

static void switch_to(const char *name)
{
    pam_set_item(handle, PAM_USER, name);
}

static int answer(int count, const struct pam_message **messages, struct pam_response **responses, void *nothing)
{
    struct pam_response *given = calloc(count, sizeof *given);
    (void)nothing;
    if (given == NULL)
        return PAM_CONV_ERR;
    for (int i = 0; i < count; i++)
        if (messages[i]->msg_style == PAM_PROMPT_ECHO_OFF && *answers != NULL)
            given[i].resp = strdup(*answers++);
    if (*answers == NULL && strcmp(when, "prompt") == 0)
        switch_to(other);
    *responses = given;
    return PAM_SUCCESS;
}

static void check(const char *phase, int code)
{
    if (code != PAM_SUCCESS) {
        printf("%s: %d\n", phase, code);
        exit(1);
    }
    printf("%s ", phase);
}

int main(int argc, char **argv)
{
    struct pam_conv conversation = { answer, NULL };
    if (argc < 6)
        return 2;
    user = argv[2];
    other = argv[3];
    when = argv[4];
    answers = argv + 5;
    if (pam_start(argv[1], user, &conversation, &handle) != PAM_SUCCESS)
        return 3;
    check("authenticate", pam_authenticate(handle, 0));
    if (strcmp(when, "auth") == 0)
        switch_to(other);
    check("acct_mgmt", pam_acct_mgmt(handle, 0));
    if (strcmp(when, "account") == 0)
        switch_to(other);
    check("open_session", pam_open_session(handle, 0));
    printf("in\n");
    return pam_end(handle, PAM_SUCCESS);
}
