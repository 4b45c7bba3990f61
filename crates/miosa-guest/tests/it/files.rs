//! Files.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;

use bytes::Bytes;
use hyper::Method;
use miosa_api::file::{FileEntry, Listing, Written};

use crate::agent::{Agent, until};

impl Agent {
    async fn put(&self, path: &str, query: &str, body: impl Into<Bytes>) -> crate::agent::Answer {
        self.request(
            Method::PUT,
            &format!("/v1/files/content?path={path}{query}"),
            body,
        )
        .await
    }

    async fn read(&self, path: &str) -> crate::agent::Answer {
        self.get(&format!("/v1/files/content?path={path}")).await
    }

    async fn delete(&self, path: &str, query: &str) -> crate::agent::Answer {
        self.request(Method::DELETE, &format!("/v1/files?path={path}{query}"), "")
            .await
    }
}

fn mode(path: &std::path::Path) -> u32 {
    std::fs::metadata(path).expect("there").mode() & 0o7777
}

#[tokio::test]
async fn bytes_come_back_as_they_went() {
    let agent = Agent::start();
    let path = agent.path_text("new/folders/file.bin");
    let all: Vec<u8> = (0..=255).collect();
    let written: Written = agent.put(&path, "", all.clone()).await.json();
    assert_eq!((written.size, written.path.as_str()), (256, path.as_str()));
    assert_eq!(agent.read(&path).await.body, all);
    let large: Vec<u8> = (0..64 << 20).map(|at: u32| (at % 251) as u8).collect();
    agent.put(&path, "", large.clone()).await.json::<Written>();
    let answer = agent.read(&path).await;
    assert!(
        answer.body == large,
        "{} bytes came back",
        answer.body.len()
    );
    agent.put(&path, "", "").await.json::<Written>();
    assert_eq!(agent.read(&path).await.body, "");
    let folder = agent.path("new/folders");
    assert_eq!(
        std::fs::read_dir(folder).expect("a folder").count(),
        1,
        "nothing beside it"
    );
}

#[tokio::test]
async fn modes_are_kept_given_or_usual() {
    let agent = Agent::start();
    let (path, text) = (agent.path("file"), agent.path_text("file"));
    agent.put(&text, "", "a").await.json::<Written>();
    assert_eq!(mode(&path), 0o644);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o751)).expect("own");
    std::os::unix::fs::chown(&path, Some(4242), Some(4243)).expect("root");
    agent.put(&text, "", "b").await.json::<Written>();
    assert_eq!(mode(&path), 0o751);
    let found = std::fs::metadata(&path).expect("there");
    assert_eq!((found.uid(), found.gid()), (4242, 4243));
    agent.put(&text, "&mode=0600", "c").await.json::<Written>();
    assert_eq!(mode(&path), 0o600);
    let bad = agent.put(&text, "&mode=0999", "c").await;
    assert_eq!(bad.code(), (400, "BAD_REQUEST".into()));
}

#[tokio::test]
async fn a_link_is_written_through() {
    let agent = Agent::start();
    std::fs::create_dir(agent.path("real")).expect("new");
    symlink("real/target", agent.path("link")).expect("new");
    agent
        .put(&agent.path_text("link"), "", "through")
        .await
        .json::<Written>();
    assert!(agent.path("link").is_symlink());
    assert_eq!(
        std::fs::read(agent.path("real/target")).expect("there"),
        b"through"
    );
    symlink("loop", agent.path("loop")).expect("new");
    let bad = agent.put(&agent.path_text("loop"), "", "x").await;
    assert_eq!(bad.code(), (400, "INVALID_PATH".into()));
}

#[tokio::test]
async fn bad_paths_are_refused() {
    let agent = Agent::start();
    let invalid = (400, "INVALID_PATH".to_owned());
    let long = format!("/{}", "x".repeat(4096));
    for path in [
        "relative",
        "/a%00b",
        &long,
        "/tmp",
        "/tmp/",
        "/",
        "/dev/zero",
        "/etc/passwd/x",
    ] {
        assert_eq!(agent.read(path).await.code(), invalid, "GET {path}");
        assert_eq!(agent.put(path, "", "x").await.code(), invalid, "PUT {path}");
    }
    assert!(std::path::Path::new("/dev/zero").exists());
    let missing = agent.read("/no/such/file").await;
    assert_eq!(missing.code(), (404, "FILE_NOT_FOUND".into()));
    assert_eq!(
        agent.get("/v1/files/content").await.code(),
        (400, "BAD_REQUEST".into())
    );
    assert_eq!(agent.delete("/", "&recursive=true").await.code(), invalid);
    assert_eq!(
        agent.get("/v1/nothing").await.code(),
        (404, "NOT_FOUND".into())
    );
}

#[tokio::test]
async fn a_full_disk_leaves_the_old_file_and_no_other() {
    let agent = Agent::start();
    let disk = agent.path("disk");
    std::fs::create_dir(&disk).expect("new");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(&disk)
        .status();
    assert!(mounted.expect("mount").success());
    let path = agent.path_text("disk/file");
    agent.put(&path, "", "old").await.json::<Written>();
    let full = agent.put(&path, "", vec![1; 64 << 20]).await;
    let names: Vec<_> = std::fs::read_dir(&disk).expect("a folder").collect();
    let content = std::fs::read(disk.join("file"));
    Command::new("umount")
        .arg("-l")
        .arg(&disk)
        .status()
        .expect("umount");
    assert_eq!(full.code(), (507, "DISK_FULL".into()));
    assert_eq!((names.len(), content.expect("there")), (1, b"old".to_vec()));
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    use tokio::io::AsyncWriteExt;
    let agent = Agent::start();
    let mut socket = agent.dial().await;
    let path = agent.path_text("deep/file");
    let head = format!(
        "PUT /v1/files/content?path={path} HTTP/1.1\r\nhost: guest\r\ncontent-length: 99\r\n\r\nabc"
    );
    socket.write_all(head.as_bytes()).await.expect("taken");
    let folder = agent.path("deep");
    let count = || std::fs::read_dir(&folder).map_or(0, Iterator::count);
    until("the upload begins", || (count() == 1).then_some(())).await;
    drop(socket);
    until("it is taken back", || (count() == 0).then_some(())).await;
}

#[tokio::test]
async fn folders_are_listed_to_a_depth() {
    let agent = Agent::start();
    for name in ["tree/b/c/d/file", "tree/a"] {
        agent
            .put(&agent.path_text(name), "", "123")
            .await
            .json::<Written>();
    }
    symlink("a", agent.path("tree/z")).expect("new");
    let path = agent.path_text("tree");
    let flat: Listing = agent.get(&format!("/v1/files?path={path}")).await.json();
    let seen: Vec<_> = flat
        .entries
        .iter()
        .map(|entry| (entry.name.as_str(), entry.kind.as_str()))
        .collect();
    assert_eq!(seen, [("a", "file"), ("b", "dir"), ("z", "symlink")]);
    assert_eq!(
        (flat.entries[0].size, flat.entries[0].mode.as_str()),
        (3, "0644")
    );
    assert_eq!(flat.entries[2].target.as_deref(), Some("a"));
    assert_eq!(flat.entries[1].children, None);
    let deep: Listing = agent
        .get(&format!("/v1/files?path={path}&depth=3"))
        .await
        .json();
    let c = &deep.entries[1].children.as_ref().expect("level 2")[0];
    let d = &c.children.as_ref().expect("level 3")[0];
    assert_eq!(
        (d.path.as_str(), &d.children),
        (format!("{path}/b/c/d").as_str(), &None)
    );
    let file = agent.get(&format!("/v1/files?path={path}/a")).await;
    assert_eq!(file.code(), (400, "INVALID_PATH".into()));
    let stat: FileEntry = agent
        .get(&format!("/v1/files/stat?path={path}/z"))
        .await
        .json();
    assert_eq!((stat.kind.as_str(), stat.is_dir), ("symlink", false));
}

#[tokio::test]
async fn a_listing_has_an_end() {
    let agent = Agent::start();
    agent.shell("cd $HOME/.. && true").await;
    let path = agent.path_text("many");
    agent
        .shell(&format!("mkdir {path}; cd {path}; seq 10050 | xargs touch"))
        .await;
    let listing: Listing = agent
        .get(&format!("/v1/files?path={path}&depth=2"))
        .await
        .json();
    assert_eq!(listing.entries.len(), 10_000);
}

#[tokio::test]
async fn deleting_a_full_folder_takes_the_flag() {
    let agent = Agent::start();
    let folder = agent.path_text("folder");
    agent
        .put(&format!("{folder}/file"), "", "x")
        .await
        .json::<Written>();
    assert_eq!(
        agent.delete(&folder, "").await.code(),
        (400, "INVALID_PATH".into())
    );
    assert_eq!(agent.delete(&folder, "&recursive=true").await.status, 204);
    assert_eq!(
        agent.delete(&folder, "").await.code(),
        (404, "FILE_NOT_FOUND".into())
    );
    symlink("/etc", agent.path("link")).expect("new");
    assert_eq!(
        agent
            .delete(&agent.path_text("link"), "&recursive=true")
            .await
            .status,
        204
    );
    assert!(std::path::Path::new("/etc/passwd").exists());
}
