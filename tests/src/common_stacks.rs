//! authflow's lines in Debian's common stacks, where a profile of pam-auth-update would put them: whatever runs as somebody asks us.

use crate::Plan;

const ACCOUNT: &str = "\
account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so
account requisite pam_deny.so
account required pam_permit.so
account [success=ok new_authtok_reqd=ok user_unknown=ignore ignore=ignore default=bad] pam_authflow.so debug
";

const SESSION: &str = "\
session [default=1] pam_permit.so
session requisite pam_deny.so
session required pam_permit.so
session required pam_unix.so
session optional pam_systemd.so
session required pam_authflow.so
";

impl Plan {
    /// Our lines in the common stacks, and before them for login, su and sudo.
    pub fn common_stacks(self) -> Self {
        let shipped = ["login", "su", "sudo"].into_iter().fold(self, |plan, service| plan.shipped_pam(service));
        shipped
            .pam("common-account", ACCOUNT)
            .pam("common-session", SESSION)
            .pam("common-session-noninteractive", &SESSION.replace("session optional pam_systemd.so\n", ""))
    }
}
