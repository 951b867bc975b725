//! probe
use authflow_tests::{Machine, wait};

#[test]
fn probe() {
    let Some(plan) = Machine::booted() else { return };
    let rule = "[[rule]]\nname = \"every\"\nservice = [\"*\"]\nmethods = [[\"password\", \"totp\"]]\n";
    let plan =
        ["sshd", "login", "su", "sudo"].into_iter().fold(plan.user("alice").user("bob"), |p, s| p.shipped_pam(s));
    let machine = plan
        .sshd("KbdInteractiveAuthentication yes\nPasswordAuthentication no")
        .config(rule)
        .file("/etc/sudoers.d/bed", "alice ALL=(ALL) ALL\n")
        .start();
    let mut phone = machine.enroll("alice");
    let mut alice = machine.ssh("alice", &[]);
    alice.expect("Password: ");
    alice.type_line(machine.password());
    alice.expect("Verification code: ");
    alice.type_line(&phone.code());
    alice.expect("$ ");
    for program in ["sudo id", "su - bob", "su - bob -c id"] {
        alice.type_line(program);
        alice.expect("assword");
        let name = program.split(' ').next().unwrap();
        println!("{program}: {}", machine.shell(&format!("for p in $(pgrep -x {name}); do grep -E 'Uid|PPid' /proc/$p/status; cat /proc/$p/loginuid /proc/$p/sessionid; echo; done")).stdout);
        alice.type_bytes(b"\x03");
        alice.expect("$ ");
    }
    let _ = wait::PATIENCE;
}
