//! `miosa audit verify` on files.

use miosa_api::audit_chain::Head;

use crate::server::Cli;

#[test]
fn files_are_verified_as_one_chain() {
    let cli = Cli::at("http://127.0.0.1:1");
    let file = |name: &str| cli.home.path().join(name);
    let (mut old, mut new) = (Vec::new(), Vec::new());
    let middle = Head::START.append(b"{\"id\":\"1\"}", &mut old);
    let head = middle.append(b"{\"id\":\"2\"}", &mut new);
    fs_err::write(file("old"), &old).unwrap();
    fs_err::write(file("new"), &new).unwrap();
    let verify = |more: &[&str], code: i32| {
        let outcome = cli.run(&[&["audit", "verify", "--json"], more].concat());
        assert_eq!(outcome.code, code, "{outcome:?}");
        outcome.json()
    };
    let both = ["--file", "old", "--file", "new"];
    assert_eq!(verify(&both, 0)["lines"], 2);
    assert_eq!(verify(&["--file", "new", "--rotated"], 0)["first"], 2);
    let fault = verify(&["--file", "new"], 1)["fault"].to_string();
    assert!(fault.contains("events 1 to 1 were removed"), "{fault}");
    fs_err::write(file("old.head"), head.to_string()).unwrap();
    let fault = verify(&["--file", "old"], 1)["fault"].to_string();
    assert!(fault.contains("cut off"), "{fault}");
    let given = middle.to_string();
    assert_eq!(
        verify(&["--file", "old", "--head", &given], 0)["head"],
        given
    );
    fs_err::write(file("new"), [new.as_slice(), b"\n"].concat()).unwrap();
    assert_eq!(verify(&both, 1)["fault"], "line 3 was changed");
}
