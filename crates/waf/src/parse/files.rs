//! Where rule files come from: the disk, or nowhere for text that is compiled in or hostile.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::parse::bounds::{DIRECTORY_ENTRIES, FILE_BYTES};

/// A source of files.
pub trait Files {
    /// The bytes of a file.
    ///
    /// # Errors
    /// If there is no such file, it is not a plain one, or it is larger than `bounds::FILE_BYTES`.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The names in a directory.
    ///
    /// # Errors
    /// If it cannot be read or has more than `bounds::DIRECTORY_ENTRIES`.
    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>>;

    /// Whether there is a file.
    fn exists(&self, path: &Path) -> bool;

    /// One name for a file that has several, so that it is known when it includes itself.
    fn identity(&self, path: &Path) -> PathBuf {
        path.to_path_buf()
    }
}

/// The file system.
#[derive(Debug, Clone, Copy)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        // A pipe would block and a device never end.
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::other(
                "it is not a file; for a directory write DIRECTORY/*.conf",
            ));
        }
        let mut bytes = Vec::new();
        File::open(path)?.take(FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > FILE_BYTES {
            return Err(io::Error::other(format!("it has more than {FILE_BYTES} bytes")));
        }
        Ok(bytes)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        let mut names = Vec::new();
        for entry in fs::read_dir(directory)? {
            if names.len() == DIRECTORY_ENTRIES {
                return Err(io::Error::other(format!(
                    "it has more than {DIRECTORY_ENTRIES} entries"
                )));
            }
            names.push(entry?.file_name());
        }
        Ok(names)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn identity(&self, path: &Path) -> PathBuf {
        fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
    }
}

/// No file at all.
#[derive(Debug, Clone, Copy)]
pub struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::Error::other("these rules include no files"))
    }

    fn list(&self, _: &Path) -> io::Result<Vec<OsString>> {
        Err(io::Error::other("these rules include no files"))
    }

    fn exists(&self, _: &Path) -> bool {
        false
    }
}
