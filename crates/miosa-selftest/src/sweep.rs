//! After all rows: is a value anywhere it may not be?

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rustix::fs::SeekFrom;

use crate::canary::Canary;
use crate::lab::Lab;
use crate::report::RowReport;

/// Program that searches a sandbox from inside for a value that comes in two halves.
pub const SEARCH: &str = include_str!("attack/search.py");
/// Bytes of a file that are searched at a time.
const WINDOW_BYTES: usize = 16 * 1024 * 1024;
/// Longest form of a value, so that none is missed at a window's end.
const OVERLAP_BYTES: usize = 4096;

/// O1 to O3 over everything that is left.
pub async fn sweep(lab: &Lab) -> Vec<RowReport> {
    let attacker = lab.stand.attacker.received();
    let at_attacker = found(&lab.canaries, "the attacker's bytes", &attacker);
    let looked = format!("{} bytes at the attacker", attacker.len());
    let inside = inside(lab)
        .await
        .unwrap_or_else(|error| vec![format!("not searched: {error:#}")]);
    let (files, outside) = outside(lab)
        .await
        .unwrap_or_else(|error| (0, vec![format!("not searched: {error:#}")]));
    vec![
        RowReport::of_all("O1", "no value at the attacker", &looked, at_attacker),
        RowReport::of_all(
            "O2",
            "no value in files, environments, processes of a sandbox",
            "both sandboxes, from inside",
            inside,
        ),
        RowReport::of_all(
            "O3",
            "no value in logs, audit, database, disks, answers, process tables",
            &format!("{files} files, answers of the API and processes"),
            outside,
        ),
    ]
}

/// What remains on the machine after the end.
pub fn leftovers(left: Vec<String>) -> RowReport {
    RowReport::of_all(
        "leftovers",
        "nothing remains",
        "processes, mounts, devices, folders",
        left,
    )
}

fn found(canaries: &[Canary], place: &str, bytes: &[u8]) -> Vec<String> {
    let all = canaries.iter().filter_map(|canary| {
        let form = canary.find(bytes)?;
        Some(format!(
            "the value of {} in {place} ({form})",
            canary.connector
        ))
    });
    all.collect()
}

async fn inside(lab: &Lab) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for sandbox in [&lab.first, &lab.second] {
        for canary in &lab.canaries {
            let (first, second) = canary.value().split_at(canary.value().len() / 2);
            let command = [
                "sandbox", "exec", sandbox, "--json", "--", "python3", "-c", SEARCH, first, second,
            ];
            let answer = lab.world.json(&command).await?;
            let stdout = answer["stdout"].as_str().unwrap_or_default();
            if !stdout.contains("SEARCHED") || stdout.contains("FOUND") {
                wrong.push(format!(
                    "the value of {}: {}",
                    canary.connector,
                    stdout.trim()
                ));
            }
        }
    }
    Ok(wrong)
}

async fn outside(lab: &Lab) -> Result<(usize, Vec<String>)> {
    let mut wrong = Vec::new();
    let files = files_below(&lab.data_dir())
        .into_iter()
        .chain(files_below(&lab.world.folder().join("run")))
        .chain([lab.world.folder().join("server.log")]);
    let mut count = 0;
    for file in files {
        count += 1;
        wrong.extend(in_file(&lab.canaries, &file)?);
    }
    for arguments in [
        &["connectors", "list", "--json"][..],
        &["audit", "list", "--limit", "100", "--json"],
        &["sandbox", "list", "--json"],
        &["sandbox", "get", &lab.first, "--json"],
        &["sandbox", "env", "list", &lab.first, "--json"],
        &["sandbox", "connectors", "list", &lab.first, "--json"],
        &["connectors", "token", "refero/design-research", "--json"],
    ] {
        let output = lab.world.run(arguments).await?;
        let all = [output.stdout, output.stderr].concat();
        wrong.extend(found(
            &lab.canaries,
            &format!("`miosa {}`", arguments.join(" ")),
            &all,
        ));
    }
    wrong.extend(in_process_tables(&lab.canaries));
    Ok((count, wrong))
}

/// Regular files; links (to template layers) are not followed.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files
}

/// All that a sparse file really has.
pub fn data_of(path: &Path) -> Result<Vec<u8>> {
    let file = fs_err::File::open(path)?;
    let (mut at, mut data) = (0, Vec::new());
    while let Ok(start) = rustix::fs::seek(&file, SeekFrom::Data(at)) {
        let end = rustix::fs::seek(&file, SeekFrom::Hole(start))?;
        let from = data.len();
        data.resize(from + usize::try_from(end - start)?, 0);
        std::os::unix::fs::FileExt::read_exact_at(file.file(), &mut data[from..], start)?;
        at = end;
    }
    Ok(data)
}

/// Searches what a file really has: disks are sparse.
fn in_file(canaries: &[Canary], path: &Path) -> Result<Vec<String>> {
    let file = fs_err::File::open(path)?;
    let (mut at, mut wrong) = (0, Vec::new());
    while let Ok(start) = rustix::fs::seek(&file, SeekFrom::Data(at)) {
        let end = rustix::fs::seek(&file, SeekFrom::Hole(start))?;
        in_piece(canaries, &file, start..end, &mut wrong)?;
        at = end;
    }
    Ok(wrong)
}

fn in_piece(
    canaries: &[Canary],
    file: &fs_err::File,
    piece: Range<u64>,
    wrong: &mut Vec<String>,
) -> Result<()> {
    use std::os::unix::fs::FileExt as _;
    let mut window = vec![0; WINDOW_BYTES];
    let mut at = piece.start;
    while at < piece.end {
        let count = file.file().read_at(&mut window, at)?;
        wrong.extend(canaries.iter().filter_map(|canary| {
            let form = canary.find_plain(&window[..count])?;
            let place = file.path().display();
            Some(format!(
                "the value of {} in {place} ({form})",
                canary.connector
            ))
        }));
        if count <= OVERLAP_BYTES {
            break;
        }
        at += (count - OVERLAP_BYTES) as u64;
    }
    Ok(())
}

/// Command lines and environments of every process of this machine.
fn in_process_tables(canaries: &[Canary]) -> Vec<String> {
    let mut wrong = Vec::new();
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        for name in ["cmdline", "environ"] {
            let path = process.path().join(name);
            let bytes = std::fs::read(&path).unwrap_or_default();
            wrong.extend(found(canaries, &path.display().to_string(), &bytes));
        }
    }
    wrong
}
