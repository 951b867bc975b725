//! The manual pages against the code: no command, option or key is missing there, and none stands there that is not.

use std::collections::BTreeSet;

use authflow_core::config::{Config, Text};
use clap::CommandFactory;

use crate::command::Arguments;

const AUTHFLOW: &str = include_str!("../../docs/man/authflow.1");
const CONFIGURATION: &str = include_str!("../../docs/man/authflow.toml.5");

/// What follows a head (`.Sh` or `.Ss`) with these words, up to the next one.
fn section<'a>(page: &'a str, head: &str) -> Option<&'a str> {
    let line = format!("{head}\n");
    let (_, rest) = page.split_once(&format!("\n{line}"))?;
    let end = [rest.find("\n.Ss "), rest.find("\n.Sh ")].into_iter().flatten().min();
    Some(&rest[..end.unwrap_or(rest.len())])
}

/// The words behind these macros in the tags of a list (`.It`).
fn tagged(section: &str, macros: &[&str]) -> BTreeSet<String> {
    let tags = section.lines().filter_map(|line| line.strip_prefix(".It "));
    let mut found = BTreeSet::new();
    for words in tags.map(|tag| tag.split_whitespace().filter(|word| *word != "," && *word != "Ns").collect::<Vec<_>>())
    {
        let mut takes = false;
        for word in words {
            if word.len() == 2
                && word.starts_with(|c: char| c.is_ascii_uppercase())
                && word.ends_with(|c: char| c.is_ascii_lowercase())
            {
                takes = macros.contains(&word);
            } else if takes {
                found.insert(word.trim_start_matches('-').to_owned());
            }
        }
    }
    found
}

/// Every command that does something, by its path, with the options of its own and its positional arguments.
fn leaves(command: &clap::Command, path: &str, found: &mut Vec<(String, BTreeSet<String>)>) {
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let path = format!("{path} {}", sub.get_name()).trim().to_owned();
        leaves(sub, &path, found);
        if sub.has_subcommands() && sub.get_positionals().next().is_none() {
            continue;
        }
        let own = sub
            .get_arguments()
            .filter(|argument| !argument.is_global_set() && !argument.is_hide_set() && argument.get_id() != "help");
        let names = own.map(|argument| match argument.get_long() {
            Some(long) => long.to_owned(),
            None => argument
                .get_value_names()
                .map_or_else(|| argument.get_id().to_string(), |names| names.join(" "))
                .to_uppercase(),
        });
        found.push((path, names.collect()));
    }
}

#[test]
fn the_manual_has_every_command_with_every_option_and_no_other() {
    let mut commands = Vec::new();
    leaves(&Arguments::command(), "", &mut commands);
    for (path, own) in &commands {
        let written = section(AUTHFLOW, &format!(".Ss {path}")).unwrap_or_else(|| panic!("authflow.1 has no {path:?}"));
        let mut told = tagged(written, &["Fl"]);
        told.extend(written.lines().filter_map(|line| line.strip_prefix(".It Ar ")).map(str::to_owned));
        assert_eq!(&told, own, "authflow.1 on {path:?}");
    }
    let heads = AUTHFLOW.lines().filter_map(|line| line.strip_prefix(".Ss "));
    let known: BTreeSet<&str> = commands.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(heads.collect::<BTreeSet<_>>(), known);
}

#[test]
fn the_manual_has_every_exit_status_and_no_other() {
    let told = section(AUTHFLOW, ".Sh EXIT STATUS").unwrap().lines().filter_map(|line| line.strip_prefix(".It "));
    let told: BTreeSet<_> = told.flat_map(|tag| tag.split(" , ")).collect();
    let (_, code) = include_str!("error.rs").split_once("fn exit_code(").unwrap();
    let ends = code.split("=> ").skip(1).filter_map(|arm| arm.split(',').next());
    let given: BTreeSet<_> = ends.filter(|end| end.parse::<u8>().is_ok()).collect();
    assert_eq!(told, given);
}

#[test]
fn the_manual_has_every_option_of_all_commands() {
    let command = Arguments::command();
    let long = command.get_arguments().filter_map(clap::Arg::get_long);
    let written = tagged(section(AUTHFLOW, ".Sh OPTIONS").unwrap(), &["Fl"]);
    for option in long.chain(["help", "version"]) {
        assert!(written.contains(option), "authflow.1 does not tell of --{option}");
    }
}

/// The keys that a table may have, from the error about one that it may not.
fn keys_of(before: &str) -> BTreeSet<String> {
    let text = format!("{before}\nno_such_key = 1\n");
    let error = Config::parse(Text { name: "authflow.toml", text: &text }, &[]).unwrap_err().to_string();
    let (_, expected) = error.split_once("expected").unwrap_or_else(|| panic!("{error}"));
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_manual_has_every_key_of_the_configuration_and_no_other() {
    for (head, table) in [
        ("MAIN KEYS", ""),
        ("THE TABLE password", "[password]"),
        ("THE TABLE totp", "[totp]"),
        ("THE TABLE throttle", "[throttle]"),
        ("THE TABLE accounts", "[accounts]"),
        ("THE TABLE history", "[history]"),
        ("THE TABLE session", "[session]"),
        ("RULES", "[[rule]]"),
    ] {
        let written = section(CONFIGURATION, &format!(".Sh {head}")).unwrap_or_else(|| panic!("no {head:?}"));
        assert_eq!(tagged(written, &["Cm"]), keys_of(table), "authflow.toml.5, {head}");
    }
}
