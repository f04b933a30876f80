//! One file from one address.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::http::{HeaderMap, StatusCode, header};

use super::checksum::sha256_of;
use super::{FetchEvent, Listener, RemoteFile, beside, rename};
use crate::Error;

/// Attempts without a new byte before an address is given up.
const ATTEMPTS: usize = 3;

/// A download in the making.
pub(super) struct Download<'a> {
    agent: ureq::Agent,
    file: &'a RemoteFile,
    path: &'a Path,
    /// Where it grows.
    part: PathBuf,
    pause: Duration,
}

impl<'a> Download<'a> {
    /// Of `file` to `path`.
    pub(super) fn new(file: &'a RemoteFile, path: &'a Path, pause: Duration) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(30)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            // Of each read, not of the whole: a large file may take hours, but a dead connection is noticed.
            .timeout_per_read(Some(Duration::from_secs(60)))
            .user_agent(concat!("rf-softmax/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.into(), file, path, part: beside(path, "part"), pause }
    }

    /// Fetches, checks, and gives the file its name.
    pub(super) fn fetch(&self, url: &str, tell: Listener<'_>) -> Result<(), Error> {
        let in_parts = self.complete(url, tell)?;
        let error = match self.check(url, tell)? {
            None => return rename(&self.part, self.path),
            Some(error) => error,
        };
        if in_parts {
            // They may be of different files.
            tell(FetchEvent::Again(&error));
            self.remove()?;
            return self.fetch(url, tell);
        }
        rename(&self.part, &beside(self.path, "bad"))?;
        Err(error)
    }

    /// Attempts, until all bytes are there. Returns whether they came in several parts.
    fn complete(&self, url: &str, tell: Listener<'_>) -> Result<bool, Error> {
        let (mut failed, mut in_parts) = (0, false);
        loop {
            let before = self.so_far();
            in_parts |= before > 0;
            match self.attempt(url, tell) {
                Err(error @ Error::Network { .. }) => {
                    failed = if self.so_far() > before { 1 } else { failed + 1 };
                    if failed == ATTEMPTS {
                        return Err(error);
                    }
                    tell(FetchEvent::Again(&error));
                    std::thread::sleep(self.pause);
                }
                other => return other.map(|()| in_parts),
            }
        }
    }

    /// Asks for the bytes that are missing, and adds what comes.
    fn attempt(&self, url: &str, tell: Listener<'_>) -> Result<(), Error> {
        let mut from = self.so_far();
        match self.file.bytes {
            Some(wanted) if from == wanted => return Ok(()),
            Some(wanted) if from > wanted => {
                self.remove()?;
                from = 0;
            }
            _ => {}
        }
        let network = |problem: String| Error::Network { url: url.into(), problem };
        let mut request = self.agent.get(url);
        if from > 0 {
            request = request.header(header::RANGE, format!("bytes={from}-"));
        }
        let response = request.call().map_err(|error| network(error.to_string()))?;
        let total = match response.status() {
            StatusCode::OK => {
                from = 0;
                length(response.headers())
            }
            StatusCode::PARTIAL_CONTENT => Some(self.agreed_range(url, response.headers(), from)?),
            StatusCode::RANGE_NOT_SATISFIABLE if from > 0 => {
                self.remove()?;
                return self.attempt(url, tell);
            }
            status => return Err(Error::Status { url: url.into(), status: status.to_string() }),
        };
        if let (Some(wanted), Some(found)) = (self.file.bytes, total)
            && wanted != found
        {
            return Err(Error::Size { url: url.into(), wanted, found });
        }
        let total = total.or(self.file.bytes);
        tell(FetchEvent::Start { url, from, total });
        let there = from + self.copy(url, response.into_body().into_reader(), from, total, tell)?;
        match total {
            Some(total) if there < total => {
                Err(network(format!("the connection ended after {there} of {total} bytes")))
            }
            _ => Ok(()),
        }
    }

    /// Adds a body to the part, cut off behind `from` bytes first. No more than one byte over `total` is read.
    fn copy(
        &self,
        url: &str,
        body: impl Read,
        from: u64,
        total: Option<u64>,
        tell: Listener<'_>,
    ) -> Result<u64, Error> {
        let refused = |source| Error::Write { path: self.part.clone(), source };
        let mut part = OpenOptions::new().create(true).append(true).open(&self.part).map_err(refused)?;
        part.set_len(from).map_err(refused)?;
        let mut body = body.take(total.map_or(u64::MAX, |total| total - from + 1));
        let (mut buffer, mut copied) = (vec![0; 1 << 16], 0);
        loop {
            let bytes = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(bytes) => bytes,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let problem = format!("the connection was lost after {} bytes: {error}", from + copied);
                    return Err(Error::Network { url: url.into(), problem });
                }
            };
            part.write_all(&buffer[..bytes]).map_err(refused)?;
            copied += bytes as u64;
            tell(FetchEvent::Bytes(bytes as u64));
        }
        part.sync_all().map_err(refused)?;
        Ok(copied)
    }

    /// Size of the whole file according to an answer with a part of it, which must begin at `from`.
    fn agreed_range(&self, url: &str, headers: &HeaderMap, from: u64) -> Result<u64, Error> {
        let range = headers.get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok()).unwrap_or_default();
        let agreed = range.strip_prefix("bytes ").and_then(|range| {
            let (start, rest) = range.split_once('-')?;
            let (_, total) = rest.split_once('/')?;
            (start.parse() == Ok(from)).then(|| total.parse().ok())?
        });
        agreed.filter(|&total| total >= from).map_or_else(
            || {
                self.remove()?;
                let problem = format!("asked for the bytes from {from} on, the server answered with `{range}`");
                Err(Error::Network { url: url.into(), problem })
            },
            Ok,
        )
    }

    /// What is wrong with the bytes that came.
    fn check(&self, url: &str, tell: Listener<'_>) -> Result<Option<Error>, Error> {
        let found = self.so_far();
        if let Some(wanted) = self.file.bytes.filter(|&wanted| wanted != found) {
            return Ok(Some(Error::Size { url: url.into(), wanted, found }));
        }
        tell(FetchEvent::Check(self.path));
        let found = sha256_of(&self.part)?;
        match &self.file.sha256 {
            Some(wanted) if *wanted != found => {
                let kept = beside(self.path, "bad");
                Ok(Some(Error::Checksum { url: url.into(), wanted: wanted.clone(), found, kept }))
            }
            Some(_) => Ok(None),
            None => {
                tell(FetchEvent::Unverified { path: self.path, sha256: &found });
                Ok(None)
            }
        }
    }

    /// Bytes that are there.
    fn so_far(&self) -> u64 {
        std::fs::metadata(&self.part).map_or(0, |about| about.len())
    }

    fn remove(&self) -> Result<(), Error> {
        let emptied = File::create(&self.part).map(drop);
        emptied.map_err(|source| Error::Write { path: self.part.clone(), source })
    }
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
