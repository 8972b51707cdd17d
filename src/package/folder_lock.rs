//! Prevents two processes of this program from working in the same folder.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

/// The interval between attempts to acquire a lock.
const AGAIN: Duration = Duration::from_millis(100);

/// Holds the lock file `path` until the returned file is dropped. The kernel releases the lock when the process ends.
/// `wait` is called once if another process holds the lock.
pub(crate) async fn hold(path: &Path, wait: impl FnOnce()) -> io::Result<File> {
    let file = open(path)?;
    let mut wait = Some(wait);
    // Polls, because a blocking wait cannot be cancelled.
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {
                if let Some(wait) = wait.take() {
                    wait();
                }
                tokio::time::sleep(AGAIN).await;
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Acquires the lock file `path` if no other process holds it.
pub(crate) fn try_hold(path: &Path) -> io::Result<Option<File>> {
    let file = open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Opens the lock file. It is never removed: a waiting process would then hold a lock on a file that others do not see.
fn open(path: &Path) -> io::Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lock_is_held_once_and_given_on() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("lock");
        let first = hold(&path, || unreachable!("nobody holds it"))
            .await
            .expect("the lock");
        assert!(try_hold(&path).expect("an answer").is_none());

        let (waits, waiting) = tokio::sync::oneshot::channel();
        let second = tokio::spawn({
            let path = path.clone();
            async move { hold(&path, || waits.send(()).expect("a listener")).await }
        });
        waiting.await.expect("it waits");
        assert!(!second.is_finished());
        drop(first);
        let second = second.await.expect("it ended").expect("the lock");
        assert!(try_hold(&path).expect("an answer").is_none());
        drop(second);
        assert!(try_hold(&path).expect("an answer").is_some());
    }
}
