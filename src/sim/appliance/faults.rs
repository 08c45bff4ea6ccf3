//! Things that go wrong once: queued with [`super::Appliance::fail_next`], each met by one request.

use super::super::RetryAfter;

/// What happens to a request instead of, or to, its proper answer. Faults that replace the answer come before the check of
/// the signature; those that damage it need a request that would have succeeded.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Status 200 with the HTML of the login page, as a proxy gives that follows the redirect itself.
    LoginPage,
    /// Status 302 to `/login`: the credentials are not known.
    RedirectToLogin,
    /// Status 302 to `/403`: the token lacks a permission.
    RedirectTo403,
    /// Status 400, `API SIGNATURE ERROR`.
    SignatureError,
    /// Status 400, `API DATE ERROR`.
    DateError,
    /// Status 200, `{"response":"ERROR"}`.
    ErrorEnvelope,
    /// The HTML page of a proxy with this status.
    ProxyHtml(u16),
    /// Any status, with a short JSON error.
    Status(u16, Option<RetryAfter>),
    /// The records break off in the middle and the connection closes without an end.
    TornBody,
    /// The records break off in the middle, but the body ends as if it were complete.
    UnfinishedArray,
    /// `Content-Length` says 100 bytes more than there are.
    WrongLength,
    /// So many bytes every so many milliseconds.
    SlowBody {
        /// Bytes of each piece.
        bytes: usize,
        /// Pause before each piece.
        every_ms: u64,
    },
    /// The head of the answer, and then nothing.
    Stall,
    /// The connection closes before the answer.
    Reset,
    /// A few KiB that inflate to an array of this many MiB of blanks.
    GzipBomb(usize),
    /// Status 200 without a body.
    Empty,
    /// Status 200, `application/json`, and a body that is not JSON.
    NotJson,
    /// The first record of the answer is a well-formed alert of about this many bytes, which was never issued. Its `pbid` is
    /// 1 and its times are those of the window's start.
    OversizeRecord(usize),
}
