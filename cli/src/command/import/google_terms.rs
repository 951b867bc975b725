//! What the user of a `~/.google_authenticator` finds different here, and the line of authflow.toml that would carry it over. Pure.

use std::time::Duration;

use authflow_core::config::{Config, MOST_ATTEMPTS, WIDEST_SKEW, preset::weaker_than, written};

use super::google_file::GoogleFile;

/// Its own module takes no limit that is longer, in seconds.
const LONGEST_RATE: u64 = 3600;

/// All that is to be said of the file's options where `policy` is in force.
pub(super) fn notes(policy: &Config, file: &GoogleFile) -> Vec<String> {
    [on_clock(file), on_window(policy, file.window), on_rate(policy, file.rate_limit)].into_iter().flatten().collect()
}

fn on_clock(file: &GoogleFile) -> Option<String> {
    let way = match file.clock_skew {
        0 => return None,
        1.. => "ahead",
        _ => "behind",
    };
    let (steps, period) = (file.clock_skew.unsigned_abs(), file.period);
    Some(format!(
        "the phone's clock was found to be {steps} steps of {period} s {way} (TIME_SKEW), and its codes are expected so here too: once that \
         clock is set right the user has to enrol anew"
    ))
}

fn on_window(policy: &Config, window: u64) -> Option<String> {
    let (around, skew) = (window / 2, policy.totp.skew);
    if around == u64::from(skew) {
        return None;
    }
    let told = format!("WINDOW_SIZE {window} is {around} steps around the current one, and here it is {skew}");
    let carried = around.min(WIDEST_SKEW);
    if carried == u64::from(skew) {
        return Some(format!("{told}, which is the most"));
    }
    let mut candidate = policy.clone();
    candidate.totp.skew = u8::try_from(carried).unwrap_or(u8::MAX);
    let most = if carried < around { " (there is no more)" } else { "" };
    Some(format!(
        "{told}: `skew = {carried}`{most} under [totp] in \
         authflow.toml would carry it over, for everybody{}",
        refusal(&candidate, "totp.")
    ))
}

fn on_rate(policy: &Config, limit: Option<(u64, u64)>) -> Option<String> {
    let (logins, seconds) = limit?;
    let (throttle, window) = (policy.throttle, Duration::from_secs(seconds));
    if (u64::from(throttle.attempts), throttle.window) == (logins, window) {
        return None;
    }
    let told = format!(
        "RATE_LIMIT {logins} {seconds} counts every login; [throttle] counts failures by source, and {} within {} lock it out for {}",
        throttle.attempts,
        written(throttle.window),
        written(throttle.lock)
    );
    let is_possible = (1..=MOST_ATTEMPTS).contains(&logins) && (1..=LONGEST_RATE).contains(&seconds);
    let Some(attempts) = u32::try_from(logins).ok().filter(|_| is_possible) else { return Some(told) };
    let mut candidate = policy.clone();
    (candidate.throttle.attempts, candidate.throttle.window) = (attempts, window);
    let sooner = if window < throttle.window { " (failures are then forgotten sooner than now)" } else { "" };
    Some(format!(
        "{told}: `attempts = {attempts}` and `window = \"{}\"` under [throttle] in authflow.toml would carry the numbers over, for \
         everybody{sooner}{}",
        written(window),
        refusal(&candidate, "throttle.")
    ))
}

/// What the preset says against the values of that table, if anything.
fn refusal(candidate: &Config, table: &str) -> String {
    let Some(preset) = candidate.preset else { return String::new() };
    let refused: Vec<_> = weaker_than(preset, candidate)
        .into_iter()
        .filter(|weaker| weaker.rule.is_none() && weaker.key.starts_with(table) && weaker.reason.is_none())
        .map(|weaker| weaker.to_string())
        .collect();
    if refused.is_empty() {
        return String::new();
    }
    format!("; {}, so that is refused without a weaker_than_preset = \"the reason\" beside it", refused.join("; "))
}

#[cfg(test)]
mod tests {
    use authflow_core::config::Text;

    use super::*;

    fn file(options: &str) -> GoogleFile {
        let text = format!("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\n\" TOTP_AUTH\n{options}");
        GoogleFile::parse(text.as_bytes()).unwrap()
    }

    fn told(config: &str, options: &str) -> Vec<String> {
        notes(&Config::parse(Text { name: "test", text: config }, &[]).unwrap(), &file(options))
    }

    #[test]
    fn what_means_the_same_here_is_not_told() {
        let same = "throttle = { attempts = 3, window = '30s' }\n";
        assert_eq!(told(same, "\" WINDOW_SIZE 3\n\" RATE_LIMIT 3 30\n"), [""; 0]);
        assert_eq!(told("totp = { skew = 8 }\n", "\" WINDOW_SIZE 17\n"), [""; 0]);
        assert_eq!(told("", ""), [""; 0]);
    }

    #[test]
    fn a_clock_that_is_off_is_told_with_its_way() {
        assert!(told("", "\" TIME_SKEW 20\n")[0].contains("20 steps of 30 s ahead (TIME_SKEW)"));
        assert!(told("", "\" TIME_SKEW -3\n\" STEP_SIZE 60\n")[0].contains("3 steps of 60 s behind"));
    }

    /// The line that is told is taken as it stands there, and leaves nothing to be told.
    #[test]
    fn the_line_that_is_told_carries_it_over() {
        for (options, table) in [
            ("\" WINDOW_SIZE 17\n", "totp"),
            ("\" WINDOW_SIZE 1\n", "totp"),
            ("\" RATE_LIMIT 3 30\n", "throttle"),
            ("\" RATE_LIMIT 10 3600\n", "throttle"),
        ] {
            let notes = told("", options);
            let note = notes.first().unwrap();
            assert!(
                note.contains(&format!("under [{table}] in authflow.toml")) && note.contains("for everybody"),
                "{note}"
            );
            let lines: Vec<_> = note.split('`').skip(1).step_by(2).collect();
            assert_eq!(told(&format!("[{table}]\n{}\n", lines.join("\n")), options), [""; 0], "{note}");
        }
    }

    #[test]
    fn what_no_line_can_carry_over_is_told_as_such() {
        let wide = told("", "\" WINDOW_SIZE 100\n");
        assert!(wide[0].contains("is 50 steps") && wide[0].contains("`skew = 10` (there is no more)"), "{wide:?}");
        let widest = told("totp = { skew = 10 }\n", "\" WINDOW_SIZE 100\n");
        assert!(widest[0].ends_with("here it is 10, which is the most"), "{widest:?}");
        for limit in ["0 30", "101 30", "3 0", "3 3601"] {
            let rate = told("", &format!("\" RATE_LIMIT {limit}\n"));
            assert!(rate[0].starts_with(&format!("RATE_LIMIT {limit} counts")) && !rate[0].contains('`'), "{rate:?}");
        }
    }

    #[test]
    fn a_line_that_the_preset_refuses_is_told_with_what_it_asks() {
        let options = "\" WINDOW_SIZE 17\n\" RATE_LIMIT 3 30\n";
        let [window, rate] = &told("preset = 'nist-aal2'\n", options)[..] else { panic!("two notes") };
        assert!(window.contains("8 is weaker than nist-aal2 asks: at most 1 (NIST SP 800-63B-4 3.1.4"), "{window}");
        assert!(!rate.contains("weaker"), "{rate}");
        let [window, rate] = &told("preset = 'pci-dss-4'\n", options)[..] else { panic!("two notes") };
        assert!(!window.contains("weaker"), "{window}");
        assert!(rate.contains("\"30s\" is weaker than pci-dss-4 asks: at least \"15m\""), "{rate}");
        let given = "preset = 'pci-dss-4'\nthrottle = { window = '10m', weaker_than_preset = 'a lab' }\n";
        assert!(!told(given, options)[1].contains("weaker"), "the reason is there already");
    }
}
