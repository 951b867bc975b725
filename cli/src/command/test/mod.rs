//! `authflow test USER --service S`: which rule a login would fall under, what it would be asked, and whether that could be enough.
//! Nothing is run and nothing counts, unless `--run` says so.

mod explain;
mod report;
mod run;

pub(crate) use report::{Foreseen, Outcome};

use authflow_core::{
    config::Config,
    console,
    factor::{Factor, Factors},
    rule::Remote,
};

use crate::{context::Context, error::Error};

#[derive(Debug, clap::Args)]
pub(crate) struct Test {
    /// Whose login
    user: String,
    /// The PAM service, as sshd, login, su or sudo
    #[arg(long, value_name = "SERVICE")]
    service: String,
    /// The address that it comes from, or "local" where the service is this machine's alone; without it the console at login, this machine
    /// itself at sshd, and none told elsewhere
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// What is proved before anything is asked: publickey (sshd), password (`proved=password` on the PAM line), session
    #[arg(long, value_name = "FACTOR", value_delimiter = ',')]
    proved: Vec<Factor>,
    /// Run the flow at this terminal and tell the true reason. It counts as an attempt, and uses a code up
    #[arg(long)]
    run: bool,
}

/// What a login of that user would come to under `config`, and why it would be denied if it would.
pub(crate) fn foresee(
    context: &Context,
    config: &Config,
    (user, service): (&str, &str),
    proved: Factors,
) -> Result<Foreseen, Error> {
    let remote = usual_place(config, service);
    let case = Case { user: user.to_owned(), service: service.to_owned(), remote, proved };
    explain::foresee(context, config, &case)
}

/// A login that is thought of.
#[derive(Debug)]
struct Case {
    user: String,
    service: String,
    remote: Remote,
    proved: Factors,
}

/// Where a login at that service comes from, where nothing else is said.
fn usual_place(config: &Config, service: &str) -> Remote {
    if config.is_sshd(service) {
        // sshd has no login without an address.
        Remote::from_rhost(Some("127.0.0.1"))
    } else if service == "login" {
        Remote::Console
    } else {
        console::place(Remote::Local, service, None)
    }
}

/// A rule for this machine alone never holds at such a service, so no report may say that it does.
fn never_local(service: &str) -> Error {
    Error::Usage(format!(
        "--from local: a login at {service:?} that tells no address may be anybody's, and rules know it as \"unknown\"; that is what is \
         tested without --from"
    ))
}

impl Test {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        if context.is_image() {
            return Err(Error::Usage("--root is about the files of an image, and nobody logs in to one".to_owned()));
        }
        let config = context.config()?;
        let run = self.run;
        let case = self.into_case(&config)?;
        if run { run::run(context, &config, &case) } else { explain::explain(context, &config, &case) }
    }

    fn into_case(self, config: &Config) -> Result<Case, Error> {
        let is_sshd = config.is_sshd(&self.service);
        for factor in &self.proved {
            match factor {
                Factor::Password | Factor::Session => {}
                Factor::Publickey if is_sshd => {}
                Factor::Publickey => {
                    let why = format!("a key is proved to sshd alone, and {:?} is none of sshd_services", self.service);
                    return Err(Error::Usage(why));
                }
                Factor::Totp
                | Factor::Stack
                | Factor::Certificate
                | Factor::SecurityKey
                | Factor::Recovery
                | Factor::Bypass => {
                    return Err(Error::Usage(format!(
                        "{factor}: expected publickey, password or session, which are proved before"
                    )));
                }
            }
        }
        let usual = usual_place(config, &self.service);
        let remote = match (self.from.as_deref(), usual) {
            (Some("local" | ""), Remote::Untold) => return Err(never_local(&self.service)),
            (None | Some("local" | ""), usual) => usual,
            (from, _) => Remote::from_rhost(from),
        };
        let proved = self.proved.into_iter().collect();
        Ok(Case { user: self.user, service: self.service, remote, proved })
    }
}

#[cfg(test)]
mod tests {
    use authflow_core::config::Text;

    use super::*;

    fn place(service: &str, from: Option<&str>) -> Result<Remote, Error> {
        let config = Config::parse(Text { name: "test", text: "" }, &[]).unwrap();
        let (user, service, from) = ("alice".to_owned(), service.to_owned(), from.map(str::to_owned));
        let test = Test { user, service, from, proved: Vec::new(), run: false };
        test.into_case(&config).map(|case| case.remote)
    }

    #[test]
    fn local_is_where_a_login_without_an_address_would_be() {
        let loopback = Remote::from_rhost(Some("127.0.0.1"));
        for (service, expected) in [
            ("login", Remote::Console),
            ("su", Remote::Local),
            ("gdm-password", Remote::Local),
            ("cron", Remote::Local),
            ("sshd", loopback),
        ] {
            for from in [None, Some("local"), Some("")] {
                assert_eq!(place(service, from).unwrap(), expected, "{service} {from:?}");
            }
            assert_eq!(place(service, Some("192.0.2.7")).unwrap(), Remote::from_rhost(Some("192.0.2.7")));
        }
    }

    #[test]
    fn nobody_is_local_at_a_service_that_may_be_anybodys() {
        assert_eq!(place("imap", None).unwrap(), Remote::Untold);
        for from in ["local", ""] {
            let refused = place("imap", Some(from)).unwrap_err();
            assert!(matches!(&refused, Error::Usage(why) if why.contains("login at \"imap\"")), "{refused}");
        }
    }
}
