//! An `sk-` key of OpenSSH without the hardware: an agent that signs as the token would, with a person's touch noted. The signature
//! itself is `openssl`'s.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    process::{Command, Stdio},
    thread,
};

use crate::Machine;

const KEY_TYPE: &str = "sk-ssh-ed25519@openssh.com";
/// What the key is made for; OpenSSH uses this where nobody asks for another.
const APPLICATION: &str = "ssh:";
/// Its owner was there and touched it.
const TOUCHED: u8 = 1;

const FAILURE: u8 = 5;
const LIST_KEYS: u8 = 11;
const KEYS: u8 = 12;
const SIGN: u8 = 13;
const SIGNATURE: u8 = 14;

/// A key in hardware, which an agent at [`SecurityKey::AGENT`] of the machine answers for. The agent lives until the test does.
#[derive(Debug)]
pub struct SecurityKey {
    /// The line for `authorized_keys`.
    pub public: String,
}

impl SecurityKey {
    /// Where the machine finds the agent: for ssh's `IdentityAgent`.
    pub const AGENT: &str = "/run/security-key";

    /// Plugs a new one in.
    #[must_use]
    pub fn plug_into(machine: &Machine) -> Self {
        let secret = machine.path("/root/security-key.pem");
        let _ = openssl(&["genpkey", "-algorithm", "ed25519", "-out"], &secret, &[]);
        let der = openssl(&["pkey", "-pubout", "-outform", "DER", "-in"], &secret, &[]);
        let point = der.last_chunk::<32>().expect("an ed25519 key ends with its 32 bytes");
        let blob = [string(KEY_TYPE.as_bytes()), string(point), string(APPLICATION.as_bytes())].concat();
        let base64 = machine.feed(["base64", "--wrap=0"], &blob).success();
        let listener = UnixListener::bind(machine.path(Self::AGENT)).expect("the machine's agent");
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                serve(client, &secret, &blob);
            }
        });
        Self { public: format!("{KEY_TYPE} {base64}\n") }
    }
}

/// Answers one client until it goes.
fn serve(mut client: UnixStream, secret: &Path, blob: &[u8]) {
    while let Some(request) = message(&mut client) {
        let answer = match request.split_first() {
            Some((&LIST_KEYS, _)) => {
                [&[KEYS], &1_u32.to_be_bytes()[..], &string(blob), &string(b"in hardware")].concat()
            }
            Some((&SIGN, rest)) => [&[SIGNATURE][..], &string(&sign(secret, signed_data(rest)))].concat(),
            Some(_) | None => vec![FAILURE],
        };
        if client.write_all(&string(&answer)).is_err() {
            return;
        }
    }
}

fn message(client: &mut UnixStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    client.read_exact(&mut length).ok()?;
    let mut message = vec![0; usize::try_from(u32::from_be_bytes(length)).ok()?];
    client.read_exact(&mut message).ok()?;
    Some(message)
}

/// What is to be signed: the second string of the request, behind the key's.
fn signed_data(request: &[u8]) -> &[u8] {
    let (_key, rest) = take_string(request);
    take_string(rest).0
}

fn take_string(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (length, rest) = bytes.split_first_chunk::<4>().expect("a length");
    rest.split_at(u32::from_be_bytes(*length) as usize)
}

/// What a token signs is not the data but its hash, between what the token itself vouches for.
fn sign(secret: &Path, data: &[u8]) -> Vec<u8> {
    const COUNTER: [u8; 4] = 7_u32.to_be_bytes();
    let token = [&sha256(APPLICATION.as_bytes())[..], &[TOUCHED], &COUNTER, &sha256(data)].concat();
    // `openssl` signs files: it must know their length first.
    let file = secret.with_extension("data");
    fs::write(&file, token).expect("the machine takes a file");
    let signature = openssl(&["pkeyutl", "-sign", "-rawin", "-in"], &file, &["-inkey", &secret.display().to_string()]);
    [string(KEY_TYPE.as_bytes()), string(&signature), vec![TOUCHED], COUNTER.to_vec()].concat()
}

fn sha256(data: &[u8]) -> Vec<u8> {
    let mut digest = Command::new("openssl")
        .args(["dgst", "-sha256", "-binary"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl runs");
    digest.stdin.take().expect("piped").write_all(data).expect("openssl reads");
    digest.wait_with_output().expect("openssl ends").stdout
}

fn openssl(words: &[&str], file: &Path, more: &[&str]) -> Vec<u8> {
    let made = Command::new("openssl").args(words).arg(file).args(more).output().expect("openssl runs");
    assert!(made.status.success(), "openssl {words:?}: {}", String::from_utf8_lossy(&made.stderr));
    made.stdout
}

/// A string as SSH's protocols write it: its length, its bytes.
fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("short");
    [&length.to_be_bytes()[..], bytes].concat()
}
