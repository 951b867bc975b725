//! The shells' own completion: real bash, zsh and fish load what `make install` put in its place, and complete a command by it.

use authflow_tests::{Machine, Person};

/// Types a line up to here and presses Tab.
fn tab(shell: &mut Person, line: &str) {
    shell.type_bytes(format!("{line}\t").as_bytes());
}

#[test]
fn bash_zsh_and_fish_complete_a_command_and_its_options() {
    let Some(plan) = Machine::overlay() else { return };
    let machine = plan.without_daemon().start();

    let mut bash = machine.person(["bash", "--norc", "--noprofile", "-i"]);
    bash.type_line("PS1='> '; . /usr/share/bash-completion/completions/authflow; echo loaded=$?");
    bash.expect("\nloaded=0");
    tab(&mut bash, "authflow sess");
    bash.expect("authflow sessions ");
    tab(&mut bash, "--js");
    bash.expect("--json ");

    let mut zsh = machine.person(["zsh", "-f", "-i"]);
    zsh.type_line("PS1='> '; autoload -U compinit && compinit -u -D; echo loaded=$?, $_comps[authflow]");
    zsh.expect("\nloaded=0, _authflow");
    tab(&mut zsh, "authflow sess");
    zsh.expect("authflow sessions ");

    let offered = machine.run(["fish", "--private", "-c", "complete -C 'authflow sess'"]).success();
    assert!(offered.starts_with("sessions\t"), "{offered}");
    let offered = machine.run(["fish", "--private", "-c", "complete -C 'authflow config sho'"]).success();
    assert!(offered.starts_with("show\t"), "{offered}");
}
