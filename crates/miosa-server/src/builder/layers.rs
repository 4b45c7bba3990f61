//! Layers on disk: `data_dir/layers/<key>` is a whole one, `<key>.partial` is being made.
//!
//! A layer appears by a rename of what is complete and on disk, so that a crash leaves no layer that
//! is half made; the next start removes what was being made. The folder is for root alone: a layer
//! may hold setuid programs of a tenant's choice.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::plan::Layer;

const PARTIAL: &str = "partial";
const SIZE: &str = "size";

/// The folder of all layers.
#[derive(Debug, Clone)]
pub struct Layers {
    dir: PathBuf,
}

/// A layer being made. Dropped before [`Partial::commit`], it is removed.
#[derive(Debug)]
pub struct Partial {
    dir: PathBuf,
    target: PathBuf,
    done: bool,
}

impl Layers {
    /// The layers below the server's data folder.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        let dir = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_owned());
        Self {
            dir: dir.join("layers"),
        }
    }

    /// Makes the folder and removes what an earlier server was making.
    pub fn open(&self) -> io::Result<()> {
        fs_err::create_dir_all(&self.dir)?;
        fs_err::set_permissions(&self.dir, PermissionsExt::from_mode(0o700))?;
        for entry in fs_err::read_dir(&self.dir)? {
            let path = entry?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == PARTIAL)
            {
                fs_err::remove_dir_all(path)?;
            }
        }
        Ok(())
    }

    /// Where a layer is, or will be.
    #[must_use]
    pub fn path(&self, key: &str) -> PathBuf {
        self.dir.join(key)
    }

    /// Whether a layer is whole.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.path(key).is_dir()
    }

    /// Whether all of them are.
    #[must_use]
    pub fn has_all(&self, layers: &[Layer]) -> bool {
        layers.iter().all(|layer| self.has(&layer.key))
    }

    /// Paths for an overlay: topmost first.
    #[must_use]
    pub fn paths(&self, layers: &[Layer]) -> Vec<PathBuf> {
        layers
            .iter()
            .rev()
            .map(|layer| self.path(&layer.key))
            .collect()
    }

    /// Bytes of all of them on disk; `None` while one is missing.
    #[must_use]
    pub fn size(&self, layers: &[Layer]) -> Option<u64> {
        layers.iter().map(|layer| self.size_of(&layer.key)).sum()
    }

    fn size_of(&self, key: &str) -> Option<u64> {
        let text = fs_err::read_to_string(self.path(key).with_extension(SIZE)).ok()?;
        text.trim().parse().ok().filter(|_| self.has(key))
    }

    /// Begins a layer. One at a time a key.
    pub fn begin(&self, key: &str) -> io::Result<Partial> {
        let dir = self.path(key).with_extension(PARTIAL);
        if dir.exists() {
            fs_err::remove_dir_all(&dir)?;
        }
        let partial = Partial {
            target: self.path(key),
            dir,
            done: false,
        };
        for folder in [&partial.dir, &partial.root(), &partial.scratch()] {
            fs_err::create_dir(folder)?;
            fs_err::set_permissions(folder, PermissionsExt::from_mode(0o755))?;
        }
        Ok(partial)
    }
}

impl Partial {
    /// The layer's content.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.dir.join("root")
    }

    /// Room for what is needed meanwhile.
    #[must_use]
    pub fn scratch(&self) -> PathBuf {
        self.dir.join("scratch")
    }

    /// Makes it a layer.
    pub fn commit(mut self) -> io::Result<u64> {
        let size = size_on_disk(&self.root());
        fs_err::write(self.target.with_extension(SIZE), size.to_string())?;
        let root = fs_err::File::open(self.root())?;
        rustix::fs::syncfs(&root)?;
        fs_err::rename(self.root(), &self.target)?;
        self.done = true;
        fs_err::remove_dir_all(&self.dir)?;
        Ok(size)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.done
            && let Err(error) = fs_err::remove_dir_all(&self.dir)
        {
            tracing::warn!(%error, "a layer that was not finished could not be removed");
        }
    }
}

/// Bytes of a tree as the disk counts them; a file with two names once.
fn size_on_disk(root: &Path) -> u64 {
    let mut linked = std::collections::HashSet::new();
    walkdir::WalkDir::new(root)
        .into_iter()
        .filter_map(Result::ok)
        .filter_map(|entry| entry.metadata().ok())
        .filter(|meta| {
            meta.is_dir() || meta.nlink() == 1 || linked.insert((meta.dev(), meta.ino()))
        })
        .map(|meta| meta.blocks() * 512)
        .sum()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::Layers;

    #[test]
    fn a_layer_appears_whole_or_not_at_all() {
        let data = tempfile::tempdir().expect("a folder");
        let layers = Layers::new(data.path());
        layers.open().expect("opens");
        drop(layers.begin("given-up").expect("begins"));
        let partial = layers.begin("whole").expect("begins");
        fs_err::write(partial.root().join("file"), [1; 5000]).expect("writes");
        assert!(!layers.has("whole"));
        assert!(partial.commit().expect("commits") >= 5000);
        assert!(layers.has("whole"));
        let mut left: Vec<_> = fs_err::read_dir(data.path().join("layers"))
            .expect("a folder")
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .into_string()
                    .expect("text")
            })
            .collect();
        left.sort();
        assert_eq!(left, ["whole", "whole.size"]);
    }

    #[test]
    fn a_start_removes_what_a_crash_left_and_closes_the_folder() {
        let data = tempfile::tempdir().expect("a folder");
        let layers = Layers::new(data.path());
        layers.open().expect("opens");
        std::mem::forget(layers.begin("crashed").expect("begins"));
        layers.open().expect("opens");
        let dir = data.path().join("layers");
        assert_eq!(fs_err::read_dir(&dir).expect("a folder").count(), 0);
        assert_eq!(
            fs_err::metadata(dir)
                .expect("a folder")
                .permissions()
                .mode()
                & 0o777,
            0o700
        );
    }
}
