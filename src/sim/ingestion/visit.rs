//! One post on its way through the endpoint, and what is written down of it.
//!
//! The journal is what tests read: plain data, no judgement. What is answered is decided in `post`.

use super::{Shared, post};
use crate::sim::locked;
use axum::http::HeaderMap;
use std::sync::Arc;

/// A post as the endpoint saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenPost {
    /// The stream in the path.
    pub stream: String,
    /// The `x-ms-client-request-id` header.
    pub client_request_id: Option<String>,
    /// Rows in the body, taken or not; 0 when it could not be read.
    pub rows: usize,
    /// Bytes of the inflated body.
    pub raw_bytes: usize,
    /// Bytes of the body as sent.
    pub wire_bytes: usize,
    /// The status answered; 0 while there is none, and for a connection that was closed instead.
    pub status: u16,
    /// Whether the rows were taken.
    pub was_taken: bool,
    /// When it came, in epoch milliseconds.
    pub received_at_ms: i64,
    /// Posts under way at that moment, this one included.
    pub in_flight: usize,
}

/// One post on its way through. While it lives, it counts as in flight.
pub(super) struct Visit {
    shared: Arc<Shared>,
    number: usize,
}

impl Visit {
    pub(super) fn begin(shared: &Arc<Shared>, stream: &str, headers: &HeaderMap, now_ms: i64) -> Self {
        let mut store = locked(&shared.store);
        store.in_flight += 1;
        store.max_in_flight = store.max_in_flight.max(store.in_flight);
        let seen = SeenPost {
            stream: stream.to_owned(),
            client_request_id: post::text(headers, "x-ms-client-request-id").map(str::to_owned),
            received_at_ms: now_ms,
            in_flight: store.in_flight,
            ..SeenPost::default()
        };
        store.posts.push(seen);
        Self { shared: Arc::clone(shared), number: store.posts.len() - 1 }
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut SeenPost)) {
        change(&mut locked(&self.shared.store).posts[self.number]);
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        locked(&self.shared.store).in_flight -= 1;
    }
}
