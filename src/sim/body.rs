//! Bodies that arrive piece by piece, and the ways in which they can go wrong.
//!
//! Nothing here knows what the bytes mean; which request gets which body is decided by the simulators.

use super::server::Stop;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream::{self, BoxStream, StreamExt};
use std::io::Write;
use std::time::Duration;
use std::{error, fmt};

/// A body under construction.
pub(super) type Chunks = BoxStream<'static, Result<Bytes, Cut>>;

/// The end of a body that the simulator breaks off; the server closes the connection when it meets it.
#[derive(Debug)]
pub(super) struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the simulator broke the answer off")
    }
}

impl error::Error for Cut {}

/// A body of these pieces, asked for only as fast as the client reads.
pub(super) fn of(pieces: impl Iterator<Item = Bytes> + Send + 'static) -> Chunks {
    stream::iter(pieces.map(Ok)).boxed()
}

/// A body that breaks before its first byte. The server has not flushed the head by then, so the client sees the
/// connection close without an answer.
pub(super) fn closed() -> Chunks {
    stream::once(async { Err(Cut) }).boxed()
}

/// What `body` says, and then the connection closes without an end. The pause lets the server send what it has.
pub(super) fn then_cut(body: Chunks) -> Chunks {
    let cut = stream::once(async {
        tokio::task::yield_now().await;
        Err(Cut)
    });
    body.chain(cut).boxed()
}

/// The head, and then nothing until the simulator stops.
pub(super) fn stalled(stop: Stop) -> Chunks {
    stream::once(async {
        stop.wait().await;
        Err(Cut)
    })
    .boxed()
}

/// At most `bytes` every `every_ms` milliseconds.
pub(super) fn slow(body: Chunks, bytes: usize, every_ms: u64) -> Chunks {
    body.flat_map(move |chunk| stream::iter(pieces_of(chunk, bytes.max(1))))
        .then(move |piece| async move {
            tokio::time::sleep(Duration::from_millis(every_ms)).await;
            piece
        })
        .boxed()
}

fn pieces_of(chunk: Result<Bytes, Cut>, size: usize) -> Vec<Result<Bytes, Cut>> {
    match chunk {
        Err(cut) => vec![Err(cut)],
        Ok(bytes) => (0..bytes.len())
            .step_by(size)
            .map(|from| Ok(bytes.slice(from..bytes.len().min(from.saturating_add(size)))))
            .collect(),
    }
}

/// The same bytes as one gzip member.
pub(super) fn gzip(body: Chunks) -> Chunks {
    let state = Some((body, GzEncoder::new(Vec::new(), Compression::fast())));
    stream::unfold(state, |state| async {
        let (mut body, mut encoder) = state?;
        loop {
            match body.next().await {
                None => return Some((encoder.finish().map(Bytes::from).map_err(|_| Cut), None)),
                Some(Err(cut)) => return Some((Err(cut), None)),
                Some(Ok(chunk)) if encoder.write_all(&chunk).is_err() => return Some((Err(Cut), None)),
                Some(Ok(_)) => {}
            }
            let ready = std::mem::take(encoder.get_mut());
            if !ready.is_empty() {
                return Some((Ok(ready.into()), Some((body, encoder))));
            }
        }
    })
    .boxed()
}

/// Keeps `token` until the body was sent or dropped.
pub(super) fn holding<T: Send + 'static>(body: Chunks, token: T) -> Chunks {
    body.map(move |chunk| {
        let _ = &token;
        chunk
    })
    .boxed()
}

/// The whole body in memory.
pub(super) async fn collected(mut body: Chunks) -> Result<Bytes, Cut> {
    let mut all = Vec::new();
    while let Some(chunk) = body.next().await {
        all.extend_from_slice(&chunk?);
    }
    Ok(all.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read;

    #[tokio::test]
    async fn a_gzip_body_inflates_to_what_went_in() {
        let pieces = (0..100).map(|n| Bytes::from(format!("piece {n};").repeat(100)));
        let expected: Vec<u8> = pieces.clone().flatten().collect();
        let zipped = collected(gzip(of(pieces))).await.unwrap();
        let mut inflated = Vec::new();
        GzDecoder::new(&zipped[..]).read_to_end(&mut inflated).unwrap();
        assert!(zipped.len() < expected.len() / 5);
        assert_eq!(inflated, expected);
    }

    #[tokio::test]
    async fn a_slow_body_takes_its_time() {
        let start = tokio::time::Instant::now();
        let body = slow(of(std::iter::once(Bytes::from_static(b"0123456789"))), 4, 20);
        assert_eq!(collected(body).await.unwrap(), "0123456789");
        assert!(start.elapsed() >= Duration::from_millis(60), "three pieces, three pauses");
    }
}
