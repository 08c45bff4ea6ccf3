//! Comments on alerts, and `GET /mbcomments`.
//!
//! Fields are those of the API guide, as transcribed in <https://github.com/nuoframework/darktrace-mcp>. Only how many
//! comments an alert has is told in the alert itself.

use super::Appliance;
use super::alerts::{Alert, AlertBody};
use super::memory::Memory;
use super::parameters::{BadInput, Parameters, restricted};
use super::selection::Selection;
use crate::sim::locked;
use crate::sim::story::{alert, bulk};
use serde_json::{Value, json};

const AUTHORS: [&str; 3] = ["s.lindgren", "m.ortega", "k.adeyemi"];
/// How many come when nobody says how many, according to the API guide.
const USUAL: usize = 100;

/// A comment on an alert.
#[derive(Clone, Debug)]
pub(super) struct Comment {
    pbid: i64,
    at_ms: i64,
    /// How many there were before it: decides who wrote what.
    number: usize,
}

impl Appliance {
    /// Comments on an alert, as an analyst does; returns whether it exists.
    pub fn comment_on_alert(&self, pbid: i64) -> bool {
        let at_ms = self.now_ms();
        let mut memory = locked(&self.shared.memory);
        let exists = memory.count_comment(pbid);
        if exists {
            let number = memory.comments.len();
            memory.comments.push(Comment { pbid, at_ms, number });
        }
        exists
    }
}

/// The comments that a query selects, the newest first: the order of real ones is not known.
pub(super) fn select(memory: &Memory, ask: Parameters<'_>) -> Result<Selection, BadInput> {
    let (start, end) = ask.pair()?.unwrap_or((i64::MIN, i64::MAX));
    let pbid: Option<i64> = ask.number("pbid")?;
    let most = ask.number("count")?.unwrap_or(USUAL);
    let found = memory
        .comments
        .iter()
        .rev()
        .filter(|comment| (start..=end).contains(&comment.at_ms) && pbid.is_none_or(|pbid| comment.pbid == pbid))
        .take(most)
        .map(|comment| restricted(value(comment, memory), ask).to_string());
    Ok(Selection::told(found))
}

fn value(comment: &Comment, memory: &Memory) -> Value {
    let alert = memory.alerts.numbered(comment.pbid).next();
    let (pid, name) = alert.map(|alert| model(&alert)).unwrap_or_default();
    json!({"time": comment.at_ms, "pbid": comment.pbid, "username": AUTHORS[comment.number % AUTHORS.len()],
        "message": format!("Looked into it, note {}.", comment.number + 1), "pid": pid, "name": name})
}

/// Number and name of the model; of bytes that a test gave, neither is known.
fn model(alert: &Alert) -> (usize, String) {
    match &alert.body {
        AlertBody::Told(facts) => alert::model_of(facts),
        AlertBody::Bulk => bulk::model_of(alert.issued.pbid),
        AlertBody::Raw(_) => (0, String::new()),
    }
}
