//! The file under redb, with a limit to its size.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::StorageBackend;
use redb::backends::FileBackend;

/// A file that refuses to grow beyond a limit just as a full disk does. So a full log is met, and
/// tested, on one path. It takes no lock of its own: the directory's lock keeps others out.
#[derive(Debug)]
pub(crate) struct LimitedFile {
    file: FileBackend,
    limit: Arc<AtomicU64>,
}

impl LimitedFile {
    pub(crate) fn new(file: FileBackend, limit: Arc<AtomicU64>) -> Self {
        Self { file, limit }
    }
}

impl StorageBackend for LimitedFile {
    fn len(&self) -> Result<u64, io::Error> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        if len > self.limit.load(Ordering::Relaxed) && len > self.file.len()? {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.set_len(len)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.file.write(offset, data)
    }

    fn close(&self) -> Result<(), io::Error> {
        self.file.close()
    }
}
