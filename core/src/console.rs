//! Where a login is that tells of no remote host: at the machine's own console, at a service that nobody reaches over a network, or anywhere.

use crate::rule::Remote;

/// Services that whoever has a login here already calls himself: they run with his real uid, or know him otherwise.
const CALLED_HERE: &str = "authflow cinnamon-screensaver chfn chsh doas gtklock hyprlock i3lock i3lock-color kde mate-screensaver passwd \
                           physlock polkit-1 slock su su-l sudo sudo-i swaylock vlock waylock xlock xscreensaver xsecurelock";

/// Services by which root, or the machine, starts something for a user: nobody is asked there.
const STARTED_HERE: &str = "atd chpasswd cron crond newusers runuser runuser-l systemd-user";

/// Services of display managers. They run as root, and not all of them tell which screen it is.
const DISPLAY_MANAGERS: &str = "cosmic-greeter emptty entrance gdm gdm-autologin gdm-fingerprint gdm-launch-environment gdm-password gdm-pin \
                                gdm-smartcard gdm3 greetd kdm lemurs light-locker lightdm lightdm-autologin lightdm-greeter lxdm \
                                ly nodm plasmalogin plasmalogin-autologin plasmalogin-greeter sddm sddm-autologin sddm-greeter slim wdm xdm";

/// Whether whoever proves himself at that service calls it himself, from a login that he has here.
#[must_use]
pub fn is_called_here(service: &str) -> bool {
    CALLED_HERE.split(' ').any(|name| name == service)
}

/// Whether nobody reaches that service over a network: the program runs on a terminal or desktop that somebody has already, or for nobody.
/// `login` is none by its name: web terminals and what tests passwords for others go by that, too.
#[must_use]
pub fn is_never_remote(service: &str) -> bool {
    is_called_here(service) || STARTED_HERE.split(' ').any(|name| name == service)
}

/// Whether that service is a screen's at which somebody logs in.
#[must_use]
pub fn is_display_manager(service: &str) -> bool {
    DISPLAY_MANAGERS.split(' ').any(|name| name == service)
}

/// Whether authflow knows that service by name.
#[must_use]
pub fn is_known(service: &str) -> bool {
    service == "login" || is_never_remote(service) || is_display_manager(service)
}

/// Where a login is that is made for others at `service` on `tty`. `told` is what `PAM_RHOST` says: where that is nothing, the rest does.
#[must_use]
pub fn place(told: Remote, service: &str, tty: Option<&str>) -> Remote {
    if told != Remote::Local {
        told
    } else if tty.is_some_and(is_own_tty) {
        Remote::Console
    } else if is_never_remote(service) || is_display_manager(service) {
        Remote::Local
    } else {
        Remote::Untold
    }
}

/// Whether that is a terminal of the machine's own: a virtual terminal, a serial line, a hypervisor's. A pseudo terminal can be anybody's, and
/// so can an X display.
#[must_use]
pub fn is_own_tty(tty: &str) -> bool {
    let name = tty.strip_prefix("/dev/").unwrap_or(tty);
    let kind = name.trim_end_matches(|digit: char| digit.is_ascii_digit());
    let number =
        name.get(kind.len()..).filter(|digits| digits.len() <= 3).and_then(|digits| digits.parse::<u16>().ok());
    match (kind, number) {
        ("console", None) => name == kind,
        // tty0 is whichever terminal is in front, not one of its own.
        ("tty", Some(number)) => (1..=63).contains(&number),
        ("hvc" | "hvsi" | "xvc" | "ttymxc" | "ttysclp" | "sclp_line", Some(number)) => number <= 255,
        // The kernel's other serial lines, as ttyS0 and ttyAMA0. The slaves of old pseudo terminals go on in small letters: ttyp0.
        (kind, Some(number)) => number <= 255 && kind.strip_prefix("tty").is_some_and(is_capital),
        (_, None) => false,
    }
}

fn is_capital(letters: &str) -> bool {
    !letters.is_empty() && letters.bytes().all(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_machines_own_ttys_are_a_console() {
        for real in
            ["/dev/tty1", "tty63", "/dev/ttyS0", "ttyAMA0", "ttyUSB1", "ttymxc0", "ttysclp0", "hvc0", "/dev/console"]
        {
            assert!(is_own_tty(real), "{real}");
        }
        for other in [
            "",
            "ssh",
            "/dev/pts/1",
            "pts/1",
            "tty",
            "tty0",
            "tty64",
            "/dev/tty1/../pts/0",
            "ttyS",
            "tty+1",
            "tty0001",
            ":0",
            ":10.0",
            "ttyp0",
            "ttyq1",
            "tty/1",
            "ttyé1",
            "console0",
            "consol",
            "hvc",
            "hvc256",
            "smtp",
            "TTY1",
            "/dev//tty1",
        ] {
            assert!(!is_own_tty(other), "{other}");
        }
    }

    #[test]
    fn a_login_with_a_host_is_nowhere_else() {
        for told in [Remote::Unknown, Remote::Address([192, 0, 2, 1].into())] {
            assert_eq!(place(told, "login", Some("/dev/tty1")), told);
        }
    }

    #[test]
    fn a_login_without_a_host_is_here_only_where_nobody_comes_by_a_network() {
        for service in ["smtp", "login", "sudo", "gdm-password", "made-up"] {
            assert_eq!(place(Remote::Local, service, Some("/dev/tty1")), Remote::Console, "{service}");
        }
        for here in
            ["su", "sudo-i", "polkit-1", "cron", "systemd-user", "swaylock", "gdm-password", "gdm", "lightdm", "sddm"]
        {
            for tty in [None, Some(":0"), Some("/dev/pts/0")] {
                assert_eq!(place(Remote::Local, here, tty), Remote::Local, "{here}");
            }
        }
        // ttyd starts login on a pseudo terminal, and more than one web panel names it for want of a better word.
        for anywhere in ["smtp", "imap", "login", "remote", "xrdp-sesman", "sshd", "", "gdm-made-up", "su "] {
            for tty in [None, Some(":10"), Some("/dev/pts/0"), Some("ssh")] {
                assert_eq!(place(Remote::Local, anywhere, tty), Remote::Untold, "{anywhere}");
            }
        }
    }
}
