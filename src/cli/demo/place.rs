//! Where a demo keeps its files: a fresh directory for the checkpoint, and the directory of the rows.

use super::{DemoError, while_doing};
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// The directory of the rows, where nothing else was chosen.
const ROWS: &str = "rows";

/// The directories of one demo. The checkpoint goes when this is dropped; the rows stay.
#[derive(Debug)]
pub(super) struct Place {
    work: PathBuf,
    rows: PathBuf,
}

impl Place {
    /// Makes the directories; rows go to `rows`, or to a fresh directory when nothing is given.
    pub(super) fn make(rows: Option<&Path>) -> Result<Self, DemoError> {
        let name = format!("darktrace-sentinel-demo-{}", uuid::Uuid::new_v4().simple());
        let work = std::env::temp_dir().join(name);
        // Replayed records may be somebody's alerts: others on this machine need not read them.
        let made = fs::DirBuilder::new().mode(0o700).create(&work);
        made.map_err(while_doing(format!("{} cannot be made", work.display())))?;
        let rows = rows.map_or_else(|| work.join(ROWS), Path::to_path_buf);
        let place = Self { work, rows };
        fs::create_dir_all(&place.rows).map_err(while_doing(format!("{} cannot be made", place.rows.display())))?;
        Ok(place)
    }

    /// The directory of the checkpoint; the program makes it.
    pub(super) fn checkpoints(&self) -> PathBuf {
        self.work.join("checkpoints")
    }

    /// The file for the rows of a table.
    pub(super) fn rows_of(&self, table: &str) -> PathBuf {
        self.rows.join(format!("{table}.ndjson"))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The position of a master that is no more. What cannot be removed is left to the system's own cleaning.
        let _ = fs::remove_dir_all(self.checkpoints());
        // Succeeds with empty directories only: when there are no rows, or when they are elsewhere.
        let _ = fs::remove_dir(self.work.join(ROWS));
        let _ = fs::remove_dir(&self.work);
    }
}

/// A path as a reader would type it here: relative when it lies below the working directory.
pub(super) fn short(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let relative = here.as_deref().and_then(|here| path.strip_prefix(here).ok());
    match relative {
        // `./` so that a program is found as a program.
        Some(relative) => format!("./{}", relative.display()),
        None => path.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checkpoint_goes_with_the_demo_and_the_rows_stay() {
        let place = Place::make(None).unwrap();
        fs::create_dir(place.checkpoints()).unwrap();
        fs::write(place.rows_of("T_CL"), "{}\n").unwrap();
        let (checkpoints, rows, work) = (place.checkpoints(), place.rows_of("T_CL"), place.work.clone());
        drop(place);
        assert!(!checkpoints.exists() && rows.exists());
        fs::remove_dir_all(work).unwrap();
    }

    #[test]
    fn a_directory_of_its_own_for_the_rows_leaves_nothing_else_behind() {
        let chosen = tempfile::tempdir().unwrap();
        let place = Place::make(Some(&chosen.path().join("a/b"))).unwrap();
        let work = place.work.clone();
        drop(place);
        assert!(chosen.path().join("a/b").is_dir() && !work.exists());
    }

    #[test]
    fn a_path_below_the_working_directory_is_told_relative_to_it() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(short(&here.join("a/b")), "./a/b");
        assert_eq!(short(Path::new("/nowhere/a")), "/nowhere/a");
    }
}
