//! Whether something keeps the clock right: codes are of a time. What systemd-timedated says of it; elsewhere nobody is asked.

use std::{collections::HashMap, fs, path::Path, time::Duration};

use authflow_core::{config::Config, factor::Factor};
use zbus::{OwnedVariant, fdo::PropertiesProxy};

use super::{Ground, Place, catalogue::Defect, finding::Finding};

const SERVICE: &str = "org.freedesktop.timedate1";
const OBJECT: &str = "/org/freedesktop/timedate1";

/// The service is started when it is asked.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is known of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Clock {
    is_synchronised: bool,
    is_ntp_on: bool,
    has_ntp: bool,
}

/// What is wrong with the clock, where a rule takes codes.
pub(super) fn findings(ground: &Ground<'_>) -> Vec<Finding> {
    // In a container the clock is the host's, and nothing in it could keep it right.
    if ground.context.is_image() || !takes_codes(ground.config) || is_in_container() {
        return Vec::new();
    }
    ask(&ground.config.bus_address).and_then(judge).into_iter().collect()
}

fn takes_codes(config: &Config) -> bool {
    config.rules.iter().flat_map(|rule| &rule.methods).any(|method| method.factors().contains(Factor::Totp))
}

/// Whether a container's manager has told systemd so, or nobody here may set the clock.
fn is_in_container() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    Path::new("/run/systemd/container").exists() || !may_set_the_clock(&status)
}

/// Whether CAP_SYS_TIME is among what root may have here.
fn may_set_the_clock(status: &str) -> bool {
    const SYS_TIME: u32 = 25;
    let bounding = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("CapBnd:")?.trim(), 16).ok());
    bounding.is_none_or(|capabilities| capabilities >> SYS_TIME & 1 == 1)
}

fn judge(clock: Clock) -> Option<Finding> {
    let fix = match clock {
        Clock { is_synchronised: true, .. } => return None,
        Clock { has_ntp: false, .. } => "install a time service: apt install systemd-timesyncd (or chrony)",
        Clock { is_ntp_on: false, .. } => "timedatectl set-ntp true",
        Clock { .. } => "see whether its servers can be reached: timedatectl timesync-status (or chronyc sources)",
    };
    Some(Finding::new(Defect::ClockNotSynchronised, Place::none(), "the clock is not synchronised", fix))
}

/// What systemd-timedated says. Nothing where there is none.
fn ask(address: &str) -> Option<Clock> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let asking = async {
        let connection = zbus::connection::Builder::address(address).build().await.ok()?;
        let properties = PropertiesProxy::new(&connection, SERVICE, OBJECT).await.ok()?;
        properties.get_all(SERVICE.try_into().ok()?).await.ok()
    };
    let told = runtime.block_on(async { tokio::time::timeout(PATIENCE, asking).await }).ok()??;
    Some(Clock {
        is_synchronised: flag(&told, "NTPSynchronized")?,
        is_ntp_on: flag(&told, "NTP")?,
        has_ntp: flag(&told, "CanNTP")?,
    })
}

fn flag(told: &HashMap<String, OwnedVariant>, name: &str) -> Option<bool> {
    told.get(name).and_then(|value| bool::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::check::fixture::{TWO_FACTORS, config};

    #[test]
    fn a_clock_that_nothing_keeps_right_is_told_with_what_helps() {
        let fix = |is_synchronised, has_ntp, is_ntp_on| {
            judge(Clock { is_synchronised, is_ntp_on, has_ntp }).map(|finding| finding.fix)
        };
        assert_eq!(fix(true, false, false), None);
        assert!(fix(false, false, false).unwrap().contains("apt install"));
        assert_eq!(fix(false, true, false).unwrap(), "timedatectl set-ntp true");
        assert!(fix(false, true, true).unwrap().contains("timesync-status"));
    }

    #[test]
    fn a_clock_that_nobody_here_may_set_is_told_by_what_root_may_have() {
        assert!(may_set_the_clock("Name:\tx\nCapBnd:\t000001ffffffffff\n") && may_set_the_clock(""));
        assert!(!may_set_the_clock("CapBnd:\t00000000fdecbfff\n"), "as systemd-nspawn leaves it");
        assert!(!may_set_the_clock("CapBnd:\t00000000a80425fb\n"), "as docker leaves it");
    }

    #[test]
    fn a_clock_matters_where_codes_are_taken() {
        assert!(takes_codes(&config(TWO_FACTORS)));
        assert!(!takes_codes(&config("")) && !takes_codes(&config(&TWO_FACTORS.replace(",'totp'", ""))));
    }
}
