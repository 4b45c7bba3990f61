//! What a process and its children use.

use std::path::Path;

use anyhow::{Context as _, Result};

/// Ticks of the processor a second, in `/proc`: fixed by Linux towards programs.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process by its id; its children (workers of nginx) count as it.
#[derive(Debug, Clone, Copy)]
pub struct Process(pub u32);

impl Process {
    /// The broker of the world in `folder`.
    pub fn broker(folder: &Path) -> Result<Self> {
        let folder = folder.to_string_lossy();
        for entry in fs_err::read_dir("/proc")?.flatten() {
            let line = fs_err::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            if line.split('\0').nth(1) == Some("egress")
                && line.contains(&*folder)
                && let Ok(id) = entry.file_name().to_string_lossy().parse()
            {
                return Ok(Self(id));
            }
        }
        anyhow::bail!("the broker does not run")
    }

    /// Seconds of processor time so far.
    pub fn cpu(self) -> Result<f64> {
        let one = |id: u32| -> Result<f64> {
            let stat = fs_err::read_to_string(format!("/proc/{id}/stat"))?;
            // The name in parentheses may hold spaces.
            let (_, rest) = stat.rsplit_once(')').context("no stat")?;
            let ticks = rest.split_whitespace().skip(11).take(2);
            Ok(ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum())
        };
        Ok(self.family()?.into_iter().map(one).sum::<Result<f64>>()? / TICKS_PER_SECOND)
    }

    /// KiB that are its own.
    pub fn memory(self) -> Result<f64> {
        let one = |id: u32| -> Result<f64> {
            let rollup = fs_err::read_to_string(format!("/proc/{id}/smaps_rollup"))?;
            let lines = rollup.lines().filter(|line| line.starts_with("Private_"));
            let sizes =
                lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
            Ok(sizes.sum())
        };
        self.family()?.into_iter().map(one).sum()
    }

    fn family(self) -> Result<Vec<u32>> {
        let id = self.0;
        let children = fs_err::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
        let children = children.split_whitespace().map(str::parse);
        let mut all = children.collect::<Result<Vec<u32>, _>>()?;
        all.push(id);
        Ok(all)
    }
}
