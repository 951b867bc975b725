//! The options on the PAM line. An option that is not known makes every phase fail: a misspelt one might have been the one that
//! guards the door.

use std::path::PathBuf;

use authflow_core::factor::{Factor, Factors};

/// What the PAM line says. Everything else is in the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Where the configuration is, if not in its usual place.
    pub config: Option<PathBuf>,
    /// Whether to log what leads to each decision.
    pub debug: bool,
    /// Where the password comes from.
    pub first_pass: FirstPass,
    /// Whether a new password comes from the module before us alone.
    pub use_authtok: bool,
    /// What the module before us has verified.
    pub proved: Factors,
    /// Whether to put questions for others: both, for a line of ours behind the module that verifies the password; and for a new
    /// password that is another module's to set.
    pub ask: bool,
    /// Password and code in one field, for clients that have a single one.
    pub one_prompt: bool,
    /// Whether root on a real console gets past us when our own files are unusable.
    pub breakglass: bool,
}

/// Where the password comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FirstPass {
    /// From the user.
    #[default]
    Ask,
    /// From the module before us, and from the user if that one got none.
    Try,
    /// From the module before us alone.
    Use,
}

/// Why the PAM line is not understood.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadOption {
    /// No option of ours.
    #[error(
        "unknown option {0:?}; known are config=PATH, debug, use_first_pass, try_first_pass, use_authtok, proved=password, \
         ask, one_prompt, breakglass"
    )]
    Unknown(String),
    /// `config` must not depend on the working directory, which is the caller's.
    #[error("config={0:?}: expected an absolute path")]
    RelativePath(String),
    /// Only a password can have been verified by a module before us.
    #[error("proved={0:?}: expected proved=password")]
    Proved(String),
}

impl Options {
    /// Reads the options, in any order.
    ///
    /// # Errors
    /// The first that is not understood.
    pub fn parse<'a>(args: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, BadOption> {
        let mut options = Self::default();
        for arg in args {
            let text = str::from_utf8(arg).map_err(|_not_text| unknown(arg))?;
            match text.split_once('=') {
                Some(("config", path)) => options.config = Some(absolute(path)?),
                Some(("proved", "password")) => options.proved.insert(Factor::Password),
                Some(("proved", other)) => return Err(BadOption::Proved(other.to_owned())),
                Some(_) => return Err(unknown(arg)),
                None => options.set_flag(text)?,
            }
        }
        Ok(options)
    }

    fn set_flag(&mut self, word: &str) -> Result<(), BadOption> {
        match word {
            "debug" => self.debug = true,
            "ask" => self.ask = true,
            "one_prompt" => self.one_prompt = true,
            "breakglass" => self.breakglass = true,
            "use_first_pass" => self.first_pass = FirstPass::Use,
            // The stricter of the two wins, in either order.
            "try_first_pass" if self.first_pass == FirstPass::Use => {}
            "try_first_pass" => self.first_pass = FirstPass::Try,
            "use_authtok" => self.use_authtok = true,
            other => return Err(unknown(other.as_bytes())),
        }
        Ok(())
    }
}

fn absolute(path: &str) -> Result<PathBuf, BadOption> {
    let parsed = PathBuf::from(path);
    if parsed.is_absolute() { Ok(parsed) } else { Err(BadOption::RelativePath(path.to_owned())) }
}

fn unknown(arg: &[u8]) -> BadOption {
    BadOption::Unknown(String::from_utf8_lossy(arg).into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(line: &str) -> Result<Options, BadOption> {
        Options::parse(line.split_whitespace().map(str::as_bytes))
    }

    #[test]
    fn every_option_of_the_manual_is_known() {
        let all = "config=/etc/x.toml debug use_first_pass try_first_pass use_authtok proved=password ask one_prompt breakglass";
        let options = parse(all).unwrap();
        assert_eq!(options.config, Some(PathBuf::from("/etc/x.toml")));
        assert!(options.debug && options.ask && options.one_prompt && options.breakglass);
        assert!(options.proved.contains(Factor::Password));
        assert_eq!(options.first_pass, FirstPass::Use);
        assert_eq!(parse("").unwrap(), Options::default());
    }

    #[test]
    fn the_manual_tells_every_option() {
        let manual = include_str!("../../docs/man/pam_authflow.8");
        let known = unknown(b"").to_string();
        let (_, known) = known.split_once("known are ").unwrap();
        for option in known.split(", ") {
            let name = option.split('=').next().unwrap();
            assert!(manual.contains(&format!("\n.It Cm {name}")), "pam_authflow.8 does not tell of {option}");
        }
    }

    #[test]
    fn an_option_that_is_not_exactly_known_is_an_error() {
        for line in ["nullok", "Debug", "debug=1", "configs=/x", "breakglass=no", "=", "config"] {
            assert!(matches!(parse(line), Err(BadOption::Unknown(_))), "{line}");
        }
        assert_eq!(parse("config=x.toml"), Err(BadOption::RelativePath("x.toml".into())));
        assert_eq!(parse("config="), Err(BadOption::RelativePath(String::new())));
        assert_eq!(parse("proved=totp"), Err(BadOption::Proved("totp".into())));
        assert_eq!(Options::parse([&b"\xff"[..]]), Err(BadOption::Unknown("\u{fffd}".into())));
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_is_made_of_known_words(words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..5)) {
            let known: [&[u8]; 8] =
                [b"debug", b"ask", b"use_first_pass", b"try_first_pass", b"use_authtok", b"proved=password", b"one_prompt", b"breakglass"];
            if Options::parse(words.iter().map(Vec::as_slice)).is_ok() {
                for word in &words {
                    prop_assert!(known.contains(&word.as_slice()) || word.starts_with(b"config=/"));
                }
            }
        }
    }
}
