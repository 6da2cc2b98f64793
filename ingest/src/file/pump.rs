//! Reads a pipe on its own thread, so that what has arrived is used while the pipe is silent.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

/// Bytes read at once: what a pipe holds.
const CHUNK_LEN: usize = 64 << 10;
/// Chunks read ahead.
const MAX_CHUNKS: usize = 16;
/// A pipe that was silent for this long is taken to be idle.
const IDLE: Duration = Duration::from_millis(200);

/// A reader that answers `WouldBlock` when its input is idle.
#[derive(Debug)]
pub(crate) struct Pump {
    chunks: Receiver<io::Result<Vec<u8>>>,
    current: io::Cursor<Vec<u8>>,
}

impl Pump {
    /// Starts reading. The thread ends with its input, or when the pump is dropped and more arrives.
    pub(crate) fn start(mut reader: impl Read + Send + 'static) -> io::Result<Self> {
        let (sender, chunks) = sync_channel(MAX_CHUNKS);
        let pump = move || {
            loop {
                let mut chunk = vec![0; CHUNK_LEN];
                let result = match reader.read(&mut chunk) {
                    Ok(0) => return,
                    Ok(n) => {
                        chunk.truncate(n);
                        Ok(chunk)
                    }
                    Err(error) => Err(error),
                };
                let is_failed = result.is_err();
                if sender.send(result).is_err() || is_failed {
                    return;
                }
            }
        };
        drop(thread::Builder::new().name("hindcast-pipe".to_owned()).spawn(pump)?);
        Ok(Self { chunks, current: io::Cursor::default() })
    }
}

impl Read for Pump {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = self.current.read(into)?;
            if n > 0 || into.is_empty() {
                return Ok(n);
            }
            match self.chunks.recv_timeout(IDLE) {
                Ok(chunk) => self.current = io::Cursor::new(chunk?),
                Err(RecvTimeoutError::Timeout) => return Err(io::ErrorKind::WouldBlock.into()),
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
            }
        }
    }
}
