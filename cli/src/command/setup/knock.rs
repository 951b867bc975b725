//! Knocks at a stack as a user who is not root: real `su` runs it, in mounts and processes of its own in which the stack is that of su. Nobody
//! answers: whoever asks is ended, before anything can fail that somebody counts. Nothing outlives it, whatever ends this process.

use std::{
    io::{self, PipeReader, Read as _, pipe},
    os::fd::AsFd as _,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use authflow_core::{
    flow::Prompt,
    time::{BootTime, Clock as _},
};
use authflow_host::{accounts::Account, clock::SystemClock};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::preflight::Folder;
use crate::error::Error;

/// Our own question. No other module puts it in these words.
pub(super) const OUR_QUESTION: Prompt = Prompt::PasswordAndCode;

/// What the stack says where its auth phase has ended in success.
pub(super) const LET_IN: &str = "authflow-setup-trial: let in";

/// What comes before all that su says.
const BEGINNING: &str = "authflow-setup-trial: su begins\n";

/// Longer than any stack takes to its first question on a machine that is well.
const LONGEST: Duration = Duration::from_secs(15);

/// More than any says before it, in bytes.
const MOST: usize = 64 * 1024;

/// How long a line without an end stands before it is taken for a question.
const QUIET: Duration = Duration::from_secs(2);

/// Its first argument is the folder with the stack, then come the stack of su, uid and gid of who knocks, and at whose door.
///
/// - A su that is not root could not run our module, which would look like a refusal.
/// - su writes down whom it refuses where lastb finds it.
/// - su waits for answers at a pipe of which it has both ends, so that none that closes is taken for a wrong answer.
/// - The shell stays: it ends with unshare, which su, being setuid, would not.
const SCRIPT: &str = r#"
untried() { echo "$1"; exit 1; }
program=$(command -v su) || untried 'there is no su'
[ -u "$program" ] || untried "$program is not setuid"
! grep -q '^NoNewPrivs:[[:space:]]*1' /proc/self/status || untried 'no program may gain rights here (no_new_privs)'
case ",$(findmnt -n -o OPTIONS -T "$program")," in *,nosuid,*) untried "$program is on a file system mounted nosuid";; esac
mount --bind "$1/stack" "$2" || exit
[ ! -f /var/log/btmp ] || { : >"$1/btmp" && mount --bind "$1/btmp" /var/log/btmp; } || exit
{ rm -f "$1/answers" && mkfifo -m 600 "$1/answers"; } || exit
echo 'authflow-setup-trial: su begins'
setpriv "--reuid=$3" "--regid=$4" --init-groups su -- "$5" <>"$1/answers"
exit
"#;

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// With our own question.
    Ours,
    /// With another module's question.
    Other(String),
    /// The auth phase let in without a question.
    LetIn,
    /// It refused without a question; with su's last words.
    Refused(String),
    /// It came to no end.
    Stuck,
    /// It could not be tried here, for this reason.
    NotTried(String),
}

/// Where and as whom it is tried.
pub(super) struct Knock<'a> {
    /// For the files of the trial.
    pub folder: &'a Folder,
    /// The stack of su.
    pub su: &'a Path,
    /// Who knocks.
    pub as_whom: &'a Account,
    /// At whose door.
    pub user: &'a str,
}

impl Knock<'_> {
    /// Runs that stack.
    pub(super) fn at(&self, stack: &str) -> Result<Ending, Error> {
        let path = self.folder.path().join("stack");
        std::fs::write(&path, stack).map_err(|error| Error::failed(&path.display().to_string(), &error))?;
        let failed = |error: io::Error| Error::failed("cannot try the new stack", &error);
        let (mut said, writer) = pipe().map_err(failed)?;
        let mut command = self.command();
        command.stdout(writer.try_clone().map_err(failed)?).stderr(writer);
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return Ok(Ending::NotTried(format!("{}: {error}", command.get_program().display()))),
        };
        // Else its ends of the pipe stay open here.
        drop(command);
        let ending = self.listen(&mut said);
        // The kernel ends all that it started: its processes are a namespace of their own.
        let _ended = child.kill().and_then(|()| child.wait());
        let deadline = SystemClock.now().boot.saturating_add(QUIET);
        while let Ok(Heard::Words(_)) = hear(&mut said, None, deadline) {}
        ending
    }

    fn command(&self) -> Command {
        let mut command = Command::new("/usr/bin/setsid");
        // Without a terminal, so that none is asked at; and gone with this process.
        command.args(["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private"]);
        command.args(["--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", SCRIPT, "sh"]);
        command.arg(self.folder.path()).arg(self.su);
        command.args([self.as_whom.uid.to_string(), self.as_whom.gid.to_string()]).arg(self.user);
        command.stdin(Stdio::null()).current_dir("/");
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8");
        command
    }

    /// Hears it out, up to the first question.
    fn listen(&self, from: &mut PipeReader) -> Result<Ending, Error> {
        let deadline = SystemClock.now().boot.saturating_add(LONGEST);
        let mut bytes = Vec::new();
        loop {
            let said = String::from_utf8_lossy(&bytes).into_owned();
            if asks_ours(&said) {
                return Ok(Ending::Ours);
            }
            let quiet = SystemClock.now().boot.saturating_add(QUIET);
            let until = if question(&said).is_some() { quiet.min(deadline) } else { deadline };
            let heard = hear(from, Some(self.folder), until);
            match heard.map_err(|error| Error::failed("cannot try the new stack", &error))? {
                Heard::Words(words) if bytes.len() < MOST => bytes.extend(words),
                Heard::Words(_) => return Ok(Ending::Stuck),
                Heard::End => return Ok(ended(&said)),
                Heard::Nothing => return Ok(waited(&said)),
                Heard::Stop => self.folder.go_on()?,
            }
        }
    }
}

/// What came of waiting for a word.
enum Heard {
    Words(Vec<u8>),
    End,
    Nothing,
    Stop,
}

fn hear(from: &mut PipeReader, stop: Option<&Folder>, until: BootTime) -> io::Result<Heard> {
    let left = until.saturating_since(SystemClock.now().boot);
    if left.is_zero() {
        // Also for what never stops talking.
        return Ok(Heard::Nothing);
    }
    let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
    let watched = [Some(from.as_fd()), stop.map(|stop| stop.as_fd())];
    let mut ready: Vec<_> = watched.into_iter().flatten().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    if poll(&mut ready, left)? == 0 {
        return Ok(Heard::Nothing);
    }
    if ready.get(1).and_then(PollFd::any) == Some(true) {
        return Ok(Heard::Stop);
    }
    drop(ready);
    let mut buffer = [0_u8; 4096];
    let length = from.read(&mut buffer)?;
    let words = buffer.get(..length).unwrap_or_default();
    Ok(if words.is_empty() { Heard::End } else { Heard::Words(words.to_owned()) })
}

/// What su has said, once it began.
fn of_su(said: &str) -> Option<&str> {
    said.split_once(BEGINNING).map(|(_, said)| said)
}

fn asks_ours(said: &str) -> bool {
    of_su(said).is_some_and(|said| said.contains(OUR_QUESTION.text()))
}

/// The line that stands without an end.
fn question(said: &str) -> Option<&str> {
    let last = of_su(said)?.rsplit('\n').next()?;
    (!last.trim().is_empty()).then_some(last)
}

/// Nothing more is said, and it has not ended.
fn waited(said: &str) -> Ending {
    match (of_su(said), question(said)) {
        (None, _) => Ending::NotTried(format!("su did not begin: {}", one_line(said))),
        (Some(_), Some(question)) => Ending::Other(question.trim().to_owned()),
        (Some(_), None) => Ending::Stuck,
    }
}

/// It has ended by itself.
fn ended(said: &str) -> Ending {
    match of_su(said) {
        None => Ending::NotTried(one_line(said)),
        Some(said) if said.lines().any(|line| line == LET_IN) => Ending::LetIn,
        // It never came to su.
        Some(said) if said.starts_with("setpriv: ") => Ending::NotTried(one_line(said)),
        Some(said) => Ending::Refused(one_line(said)),
    }
}

fn one_line(said: &str) -> String {
    let said = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    if said.is_empty() { "it said nothing".to_owned() } else { said }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn su(words: &str) -> String {
        format!("unshare: a warning\n{BEGINNING}{words}")
    }

    #[test]
    fn our_own_question_is_told_from_every_other() {
        assert!(asks_ours(&su("Password and verification code: ")));
        for other in ["Password: ", "Verification code: ", "Password & verification code: "] {
            assert!(!asks_ours(&su(other)));
            assert_eq!(waited(&su(other)), Ending::Other(other.trim().to_owned()));
        }
        assert!(!asks_ours("Password and verification code: "), "by whom?");
    }

    #[test]
    fn an_end_without_a_question_is_told_from_what_could_not_be_tried() {
        assert_eq!(
            ended(&su("su: Authentication failure\n")),
            Ending::Refused("su: Authentication failure".to_owned())
        );
        assert_eq!(ended(&su(&format!("su: Permission denied\n{LET_IN}\n"))), Ending::LetIn);
        assert_eq!(ended(&su("")), Ending::Refused("it said nothing".to_owned()));
        let why = "unshare: unshare failed: Operation not permitted";
        assert_eq!(ended(&format!("{why}\n")), Ending::NotTried(why.to_owned()));
        let two = "mount: x: no such thing.\n       dmesg(1) may tell\n";
        assert_eq!(ended(two), Ending::NotTried("mount: x: no such thing.; dmesg(1) may tell".to_owned()));
        assert!(matches!(ended(&su("setpriv: unknown option\n")), Ending::NotTried(_)));
        assert!(matches!(waited("mount"), Ending::NotTried(_)));
        for nothing in ["", "Place your finger\n", "Place your finger\n  "] {
            assert_eq!(waited(&su(nothing)), Ending::Stuck, "{nothing}");
        }
    }

    #[test]
    fn the_script_says_where_su_begins() {
        assert!(SCRIPT.contains(&format!("echo '{}'", BEGINNING.trim_end())));
    }
}
