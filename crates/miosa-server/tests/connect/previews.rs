//! Tokens of previews: where they are taken, and where they must not stay.

use serde_json::json;

use crate::world::World;

/// Status, `Location` and `Set-Cookie` of a visit.
async fn visit(world: &World, path: &str) -> (u16, String, Option<String>) {
    let answer = world.visit("3000-sandbox-a.sandbox.localhost", path).await;
    let text = |name: &str| {
        let value = answer.headers().get(name)?.to_str().ok()?;
        Some(value.to_owned())
    };
    (
        answer.status().as_u16(),
        text("location").unwrap_or_default(),
        text("set-cookie"),
    )
}

#[tokio::test]
async fn a_token_stays_in_no_address_whether_the_preview_needs_it_or_not() {
    let world = World::start().await;
    let a = world.tenant("a").await;
    world.sandbox(&a, "sandbox-a", "running").await;
    let without = a
        .post("/sandboxes/sandbox-a/preview-token", json!({}))
        .await;
    assert_eq!(without.status, 404, "nothing is exposed yet");
    a.post("/sandboxes/sandbox-a/expose", json!({ "port": 3000 }))
        .await
        .data();
    let minted = a
        .post("/sandboxes/sandbox-a/preview-token", json!({}))
        .await;
    let token = minted.body["token"].as_str().unwrap().to_owned();
    let address = format!("/page?preview_token={token}&x=1");
    for visibility in ["private", "public"] {
        let wish = json!({ "port": 3000, "visibility": visibility });
        a.post("/sandboxes/sandbox-a/expose", wish).await.data();
        let (status, location, cookie) = visit(&world, &address).await;
        assert_eq!(status, 303, "{visibility}");
        let want = "http://3000-sandbox-a.sandbox.localhost/page?x=1";
        assert_eq!(location, want, "{visibility}");
        assert_eq!(cookie.is_some(), visibility == "private", "{visibility}");
    }
    world.stop().await;
}
