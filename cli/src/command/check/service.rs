//! What is known of PAM services by their names: which phases a program runs, and how many fields it has for answers.

/// Whether it runs account and session without ever asking anybody: what starts things in the background, for users who are elsewhere, and
/// Samba, which knows passwords of its own.
pub(super) fn is_background(service: &str) -> bool {
    ["cron", "crond", "atd", "systemd-user", "runuser", "runuser-l", "samba"].contains(&service)
}

/// Whether root may use it for somebody else without being asked, so that account runs alone.
pub(super) fn lets_root_through(service: &str) -> bool {
    ["su", "su-l"].contains(&service)
}

/// Whether it never opens a session: screen lockers, and what only asks before it changes something.
pub(super) fn opens_no_session(service: &str) -> bool {
    const ASKING: [&str; 8] = ["polkit-1", "passwd", "chpasswd", "newusers", "chsh", "chfn", "authflow", "cups"];
    is_locker(service) || ASKING.contains(&service)
}

/// Whether it locks a screen. Some run authentication and nothing else.
pub(super) fn is_locker(service: &str) -> bool {
    const LOCKERS: [&str; 16] = [
        "vlock",
        "swaylock",
        "i3lock",
        "i3lock-color",
        "waylock",
        "hyprlock",
        "gtklock",
        "physlock",
        "slock",
        "xscreensaver",
        "xsecurelock",
        "xlock",
        "kde",
        "light-locker",
        "mate-screensaver",
        "cinnamon-screensaver",
    ];
    LOCKERS.contains(&service)
}

/// Whether it answers every hidden prompt with the one thing that was typed.
pub(super) fn has_a_single_field(service: &str) -> bool {
    ["swaylock", "i3lock", "i3lock-color", "waylock", "sddm"].contains(&service)
}

/// Whether it opens logins, so that the kernel must be told whose they are.
pub(super) fn opens_logins(service: &str) -> bool {
    ["login", "sshd", "remote", "sddm", "lightdm"].contains(&service) || service.starts_with("gdm-")
}

/// Whether it is only a part of other services' files.
pub(super) fn is_fragment(name: &str) -> bool {
    name.starts_with("common-") || name.ends_with("-auth") || ["other", "postlogin", "config-util"].contains(&name)
}
