//! Hostile and ordinary archives against a real folder.

use std::io::Cursor;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tar::{Builder, EntryType, Header};

use super::{Devices, UnpackError, Unpacker};

/// `(kind, path, text or target)`; paths are written raw, so that they can be hostile.
type Line<'a> = (EntryType, &'a str, &'a str);

const FILE: EntryType = EntryType::Regular;
const DIR: EntryType = EntryType::Directory;
const SYM: EntryType = EntryType::Symlink;
const LINK: EntryType = EntryType::Link;

fn archive(lines: &[Line<'_>]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (kind, path, text) in lines {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(if *kind == DIR { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        let is_link = matches!(*kind, SYM | LINK);
        if is_link {
            header.as_old_mut().linkname[..text.len()].copy_from_slice(text.as_bytes());
        }
        let body = if *kind == FILE { *text } else { "" };
        header.set_size(body.len() as u64);
        header.set_cksum();
        builder
            .append(&header, body.as_bytes())
            .expect("into memory");
    }
    builder.into_inner().expect("into memory")
}

fn unpack(dir: &Path, layers: &[&[Line<'_>]]) -> Result<(), UnpackError> {
    let mut unpacker = Unpacker::new(dir, Devices::Refuse)?;
    for lines in layers {
        let bytes = archive(lines);
        unpacker.layer(|| Ok(Cursor::new(bytes.clone())))?;
    }
    Ok(())
}

fn read(path: &Path) -> String {
    fs_err::read_to_string(path).expect("a file")
}

struct World {
    _keep: tempfile::TempDir,
    root: std::path::PathBuf,
    outside: std::path::PathBuf,
}

/// A root to unpack into and a file beside it that must stay as it is.
fn world() -> World {
    let keep = tempfile::tempdir().expect("a folder");
    let root = keep.path().join("root");
    let outside = keep.path().join("outside");
    fs_err::create_dir(&root).expect("a folder");
    fs_err::create_dir(&outside).expect("a folder");
    fs_err::write(outside.join("secret"), "untouched").expect("a file");
    World {
        root,
        outside,
        _keep: keep,
    }
}

impl World {
    fn assert_outside_untouched(&self) {
        assert_eq!(read(&self.outside.join("secret")), "untouched");
        assert_eq!(
            fs_err::read_dir(&self.outside).expect("a folder").count(),
            1
        );
    }
}

#[test]
fn files_folders_and_links_are_written() {
    let world = world();
    unpack(
        &world.root,
        &[&[
            (DIR, "./", ""),
            (DIR, "usr/bin/", ""),
            (FILE, "usr/bin/tool", "text"),
            (SYM, "bin", "usr/bin"),
            (LINK, "usr/bin/same", "usr/bin/tool"),
            (FILE, "made/on/the/way", "deep"),
        ]],
    )
    .expect("unpacks");
    assert_eq!(read(&world.root.join("bin/tool")), "text");
    assert_eq!(read(&world.root.join("made/on/the/way")), "deep");
    let links = fs_err::metadata(world.root.join("usr/bin/same"))
        .expect("a file")
        .nlink();
    assert_eq!(links, 2);
}

#[test]
fn a_later_layer_writes_through_a_link_inside_the_root() {
    let world = world();
    unpack(
        &world.root,
        &[
            &[(DIR, "usr/bin", ""), (SYM, "bin", "/usr/bin")],
            &[(FILE, "bin/new", "text")],
        ],
    )
    .expect("unpacks");
    assert_eq!(read(&world.root.join("usr/bin/new")), "text");
}

#[test]
fn paths_that_lead_out_are_refused() {
    for path in ["../outside/x", "a/../../outside/x", "/etc/x", "..", "a/.."] {
        let world = world();
        let refused = unpack(&world.root, &[&[(FILE, path, "evil")]]);
        assert!(
            matches!(refused, Err(UnpackError::Path(_))),
            "{path}: {refused:?}"
        );
        world.assert_outside_untouched();
    }
}

#[test]
fn a_link_out_of_the_root_is_data_and_leads_nowhere() {
    let world = world();
    let outside = world.outside.to_str().expect("text").to_owned();
    let dangling = unpack(
        &world.root,
        &[&[(SYM, "absolute", &outside), (FILE, "absolute/new", "evil")]],
    );
    assert!(matches!(dangling, Err(UnpackError::Io(_))), "{dangling:?}");
    unpack(
        &world.root,
        &[&[
            (DIR, "outside", ""),
            (SYM, "relative", "../outside"),
            (FILE, "relative/new", "evil"),
            (SYM, "secret", "../outside/secret"),
            (FILE, "secret", "evil"),
        ]],
    )
    .expect("written inside");
    world.assert_outside_untouched();
    assert_eq!(
        read(&world.root.join("outside/new")),
        "evil",
        "the root is the end of every `..`"
    );
}

#[test]
fn hard_links_out_of_the_root_are_refused() {
    let world = world();
    let outside = world.outside.to_str().expect("text").to_owned();
    for target in ["../outside/secret", "/etc/passwd", "missing", "door/secret"] {
        let refused = unpack(
            &world.root,
            &[&[(SYM, "door", &outside), (LINK, "link", target)]],
        );
        assert!(
            matches!(refused, Err(UnpackError::Link { .. })),
            "{target}: {refused:?}"
        );
    }
    world.assert_outside_untouched();
}

#[test]
fn a_hard_link_to_a_link_is_to_the_link_itself() {
    let world = world();
    let secret = world.outside.join("secret");
    let target = secret.to_str().expect("text");
    unpack(
        &world.root,
        &[&[
            (SYM, "door", target),
            (LINK, "copy", "door"),
            (FILE, "copy", "evil"),
        ]],
    )
    .expect("unpacks");
    world.assert_outside_untouched();
}

#[test]
fn devices_and_pipes_are_refused_or_left_out() {
    for kind in [EntryType::Char, EntryType::Block, EntryType::Fifo] {
        let world = world();
        let refused = unpack(&world.root, &[&[(kind, "dev/null", "")]]);
        assert!(
            matches!(refused, Err(UnpackError::Kind(_))),
            "{kind:?}: {refused:?}"
        );
        let mut skipping = Unpacker::new(&world.root, Devices::Skip).expect("opens");
        skipping
            .archive(Cursor::new(archive(&[(kind, "dev/null", "")])))
            .expect("left out");
        assert!(!world.root.join("dev/null").exists());
    }
}

#[test]
fn whiteouts_delete_what_is_below_and_nothing_of_their_own_layer() {
    let world = world();
    unpack(
        &world.root,
        &[
            &[
                (FILE, "etc/keep", "below"),
                (FILE, "etc/drop", "below"),
                (FILE, "opaque/old", "below"),
                (FILE, "opaque/deep/old", "below"),
                (FILE, "tree/a/b", "below"),
            ],
            &[
                (FILE, "etc/.wh.drop", ""),
                (FILE, "opaque/new", "above"),
                (FILE, "opaque/.wh..wh..opq", ""),
                (FILE, ".wh.tree", ""),
                (FILE, ".wh.missing", ""),
                (FILE, "nowhere/.wh.x", ""),
            ],
        ],
    )
    .expect("unpacks");
    assert_eq!(read(&world.root.join("etc/keep")), "below");
    assert!(!world.root.join("etc/drop").exists());
    assert!(!world.root.join("etc/.wh.drop").exists());
    assert!(!world.root.join("tree").exists());
    let left: Vec<_> = fs_err::read_dir(world.root.join("opaque"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(left, ["new"]);
}

#[test]
fn whiteouts_do_not_follow_links_out() {
    let world = world();
    let outside = world.outside.to_str().expect("text").to_owned();
    unpack(
        &world.root,
        &[
            &[(SYM, "door", &outside), (SYM, "side", "../outside")],
            &[
                (FILE, "door/.wh.secret", ""),
                (FILE, "side/.wh..wh..opq", ""),
            ],
        ],
    )
    .expect("nothing to delete inside");
    world.assert_outside_untouched();
    for name in [".wh.", ".wh..", ".wh..."] {
        let refused = unpack(
            &world.root,
            &[&[(FILE, &format!("etc/{name}"), "")], &[(DIR, "etc", "")]],
        );
        assert!(
            refused.is_ok() || matches!(refused, Err(UnpackError::Path(_))),
            "{name}: {refused:?}"
        );
    }
    world.assert_outside_untouched();
}

#[test]
fn another_kind_takes_the_place_of_what_was_there() {
    let world = world();
    unpack(
        &world.root,
        &[
            &[
                (FILE, "one", "file"),
                (FILE, "two/x", "file"),
                (SYM, "three", "two"),
            ],
            &[
                (DIR, "one", ""),
                (FILE, "two", "now a file"),
                (DIR, "three", ""),
            ],
        ],
    )
    .expect("unpacks");
    assert!(world.root.join("one").is_dir());
    assert_eq!(read(&world.root.join("two")), "now a file");
    assert!(
        fs_err::symlink_metadata(world.root.join("three"))
            .expect("there")
            .is_dir()
    );
}

#[test]
fn a_foreign_owner_is_refused() {
    let world = world();
    let mut header = Header::new_gnu();
    header.set_path("file").expect("a path");
    header.set_size(0);
    header.set_uid(65_536);
    header.set_gid(0);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_cksum();
    let mut builder = Builder::new(Vec::new());
    builder.append(&header, &b""[..]).expect("into memory");
    let bytes = builder.into_inner().expect("into memory");
    let mut unpacker = Unpacker::new(&world.root, Devices::Refuse).expect("opens");
    assert!(matches!(
        unpacker.archive(Cursor::new(bytes)),
        Err(UnpackError::Owner(_))
    ));
}
