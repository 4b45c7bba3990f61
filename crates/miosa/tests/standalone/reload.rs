//! Row 185: settings that are read again while callers are there.

use miosa_selftest::stand::BOUND;

use crate::world::{CANARY, World};

#[tokio::test(flavor = "multi_thread")]
async fn row_185_what_is_not_valid_changes_nothing_and_says_so() {
    let mut world = World::start().await;
    let bearer = world.bearer("agent");
    let url = format!("https://{BOUND}/mcp");
    let good = fs_err::read_to_string(world.dir.path().join("egress.toml")).unwrap();
    let reaches = |world: &World| {
        let text = world.curl(&["-H", &bearer, &url]);
        text.contains("\"provider\":\"provider\"")
    };
    let broken: [(&str, &str, &str); 6] = [
        ("[[listeners]]", "[[listeners", "egress.toml"),
        (
            "effect = \"allow\"",
            "effect = \"perhaps\"",
            "unknown variant",
        ),
        ("host = \"open.example\"", "host = \"*.*.example\"", "rule"),
        (
            "connector = \"refero/design-research\"",
            "connector = \"nobody\"",
            "no such definition",
        ),
        ("/value\"", "/gone\"", "gone"),
        ("name = \"sidecar\"", "name = \"other\"", "restart"),
    ];
    for (from, to, why) in broken {
        assert!(good.contains(from), "{from}");
        // Both listeners: none of them may be changed by half of it.
        world.reload(|_| good.replacen(from, to, 2));
        let line = world.await_log("NOT in force");
        assert!(line.contains("ERROR") && line.contains(why), "{to}: {line}");
        assert!(line.contains("generation=1"), "{line}");
        assert!(reaches(&world), "{to}");
    }

    // A new value is used at once.
    let new = CANARY.replace("canary", "second");
    fs_err::write(world.dir.path().join("value"), &new).unwrap();
    world.reload(|_| good.clone());
    assert!(world.await_log("read again").contains("generation=2"));
    assert!(reaches(&world));
    let seen = world.seen_since(world.stand.log.count() - 1);
    assert_eq!(
        seen[0].headers("authorization"),
        [format!("Bearer {new}").as_str()]
    );

    // A binding that is gone is gone.
    world.reload(|text| {
        text.split("[[listeners.bindings]]")
            .next()
            .unwrap()
            .to_owned()
            + &rest(&good)
    });
    world.await_log("read again");
    let before = world.stand.log.count();
    let text = world.curl(&["-H", &bearer, &url]);
    assert!(text.contains("EGRESS_HOST_NOT_ALLOWED"), "{text}");
    assert!(world.seen_since(before).is_empty());
    assert!(!world.env("agent").contains_key("REFERO_MCP_TOKEN"));

    // What is in force although callers could not be told is not called anything else.
    let folder = world.dir.path().join("clients/agent");
    fs_err::remove_dir_all(&folder).unwrap();
    fs_err::write(&folder, "in the way").unwrap();
    world.reload(|_| good.clone());
    let line = world.await_log("ERROR");
    assert!(
        line.contains("in force, but") && line.contains("generation=4"),
        "{line}"
    );
}

/// All from the second listener on.
fn rest(settings: &str) -> String {
    let at = settings.rfind("[[listeners]]").unwrap();
    settings[at..].to_owned()
}
