//! SHA-256 of files.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{FetchEvent, Listener, RemoteFile};
use crate::Error;

/// SHA-256 of a file, in 64 lower-case hexadecimal digits.
///
/// # Errors
/// [`Error::Open`], [`Error::Read`].
pub fn sha256_of(path: &Path) -> Result<String, Error> {
    let mut file = File::open(path).map_err(|source| Error::Open { path: path.into(), source })?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(bytes) => hasher.update(&buffer[..bytes]),
            Err(source) if source.kind() == std::io::ErrorKind::Interrupted => {}
            Err(source) => return Err(Error::Read { path: path.into(), line: 1, source }),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Refuses a file that has the name of the published one, but not its content.
pub(super) fn check_present(file: &RemoteFile, path: &Path, tell: Listener<'_>) -> Result<(), Error> {
    let other = |wanted: String, found: String| Error::OtherFile { path: path.into(), wanted, found };
    let bytes = std::fs::metadata(path).map_err(|source| Error::Open { path: path.into(), source })?.len();
    if let Some(wanted) = file.bytes.filter(|&wanted| wanted != bytes) {
        return Err(other(format!("{wanted} bytes"), format!("{bytes} bytes")));
    }
    let Some(wanted) = &file.sha256 else { return Ok(()) };
    tell(FetchEvent::Check(path));
    let found = sha256_of(path)?;
    if found == *wanted { Ok(()) } else { Err(other(format!("SHA-256 {wanted}"), format!("SHA-256 {found}"))) }
}
