//! Deletes a file or a folder.

use std::path::{Component, Path};

use crate::failure::Failure;

/// Deletes what is there; a link itself, not what it points at.
pub fn path(path: &Path, recursive: bool) -> Result<(), Failure> {
    if !matches!(path.components().next_back(), Some(Component::Normal(_))) {
        return Err(Failure::invalid_path(format!(
            "{}: cannot be deleted",
            path.display()
        )));
    }
    let found = fs_err::symlink_metadata(path)?;
    if !found.is_dir() {
        fs_err::remove_file(path)?;
    } else if recursive {
        fs_err::remove_dir_all(path)?;
    } else {
        fs_err::remove_dir(path)?;
    }
    Ok(())
}
