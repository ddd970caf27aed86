//! Opens a text file of the store as one blocking reader, unpacked on the way.
//!
//! A local file is read where it lies; an object is streamed with a few chunks in flight. Neither is
//! ever held in memory as a whole. The reader blocks, so it must not be used on an async thread.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

use futures::StreamExt;
use object_store::path::Path;
use object_store::{GetOptions, GetResultPayload, ObjectStore};
use tokio::sync::mpsc;

use crate::sources::error::SourceError;
use crate::sources::spec::Compression;

const CHUNKS_IN_FLIGHT: usize = 4;
const BUFFER_BYTES: usize = 256 * 1024;

/// The bytes of a file as the store keeps them.
pub(super) async fn open(
    store: &Arc<dyn ObjectStore>,
    location: &Path,
) -> Result<Box<dyn Read + Send>, object_store::Error> {
    let found = store.get_opts(location, GetOptions::default()).await?;
    let mut stream = match found.payload {
        GetResultPayload::File(file, _) => return Ok(Box::new(file)),
        GetResultPayload::Stream(stream) => stream,
    };
    let (sender, chunks) = mpsc::channel(CHUNKS_IN_FLIGHT);
    tokio::spawn(async move {
        while let Some(chunk) = stream.next().await {
            if sender.send(chunk).await.is_err() {
                break;
            }
        }
    });
    Ok(Box::new(Chunks {
        chunks,
        current: None,
        at: 0,
    }))
}

/// The text of a file.
pub(super) fn unpack(
    packed: Box<dyn Read + Send>,
    compression: Compression,
) -> io::Result<Box<dyn BufRead>> {
    Ok(match compression {
        Compression::None => Box::new(BufReader::with_capacity(BUFFER_BYTES, packed)),
        Compression::Gzip => {
            let text = flate2::read::MultiGzDecoder::new(BufReader::new(packed));
            Box::new(BufReader::with_capacity(BUFFER_BYTES, text))
        }
        Compression::Zstd => {
            let text = zstd::stream::read::Decoder::new(packed)?;
            Box::new(BufReader::with_capacity(BUFFER_BYTES, text))
        }
    })
}

/// The error of a text file that broke off.
pub(super) fn read_error(path: &str, error: io::Error) -> SourceError {
    SourceError::Read {
        file: path.to_owned(),
        source: Arc::new(error),
    }
}

/// A stream of chunks read as a file; `B` is the store's own buffer type.
struct Chunks<B> {
    chunks: mpsc::Receiver<Result<B, object_store::Error>>,
    current: Option<B>,
    at: usize,
}

impl<B: AsRef<[u8]>> Read for Chunks<B> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(chunk) = &self.current {
                let rest = &chunk.as_ref()[self.at..];
                if !rest.is_empty() {
                    let count = rest.len().min(out.len());
                    out[..count].copy_from_slice(&rest[..count]);
                    self.at += count;
                    return Ok(count);
                }
            }
            match self.chunks.blocking_recv() {
                None => return Ok(0),
                Some(chunk) => {
                    self.current = Some(chunk.map_err(io::Error::other)?);
                    self.at = 0;
                }
            }
        }
    }
}
