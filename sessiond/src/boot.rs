//! Which boot this is. The kernel says it in `/proc`; a daemon that is locked into a `/proc` of its own sees there the machine's boot and not
//! that of the container around it, so a service manager may tell it.

/// Reads an id of a boot, as systemd writes it (`%b`) or as the kernel does, and gives the kernel's form, which logins are noted with.
///
/// # Errors
/// It is none.
pub(crate) fn id(text: &str) -> Result<String, String> {
    let digits: String = text.chars().filter(|letter| *letter != '-').collect();
    let is_id = digits.len() == 32 && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| digits.get(part).unwrap_or_default());
    if is_id { Ok(parts.join("-")) } else { Err("expected the id of a boot, in 32 hexadecimal digits".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_one() {
        let kernels = "305d9e67-6d4e-4a44-90e9-4358605a3e8f";
        assert_eq!(id("305d9e676d4e4a4490e94358605a3e8f").as_deref(), Ok(kernels));
        assert_eq!(id(kernels).as_deref(), Ok(kernels));
        assert_eq!(
            id(&authflow_host::process::boot_id().unwrap()),
            authflow_host::process::boot_id().map_err(|_| String::new())
        );
    }

    #[test]
    fn nothing_else_is_one() {
        for text in [
            "",
            "%b",
            "305d9e67",
            "305d9e676d4e4a4490e94358605a3e8g",
            "305d9e676d4e4a4490e94358605a3e8f0",
            "é5d9e676d4e4a4490e94358605a3e8f",
        ] {
            assert!(id(text).is_err(), "{text}");
        }
    }
}
