//! The text of an answer, made while it is sent.
//!
//! An answer of 200 MB takes no more memory than one of 2 KB: records are facts, and their text exists for one chunk only.

use super::selection::Selection;
use bytes::Bytes;

/// Bytes gathered before they are handed to the server.
const CHUNK: usize = 32 * 1024;

/// The text of an array of records, told record by record while the client reads.
#[derive(Clone, Debug)]
pub(super) struct ArrayText {
    selection: Selection,
    first: Option<String>,
    next: usize,
    /// Stops in the middle of the middle record.
    half: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Before,
    Within,
    Over,
}

impl ArrayText {
    /// `first` comes before the selected records; `half` stops the text in the middle of the middle one.
    pub(super) const fn new(selection: Selection, first: Option<String>, half: bool) -> Self {
        Self { selection, first, next: 0, half, state: State::Before }
    }

    /// How many bytes it will be.
    pub(super) fn bytes(&self) -> usize {
        self.clone().map(|chunk| chunk.len()).sum()
    }

    fn record(&mut self, chunk: &mut String) {
        let text = self.selection.text(self.next);
        if self.half && self.next == self.selection.len() / 2 {
            let middle = text.floor_char_boundary(text.len() / 2);
            chunk.push_str(&text[..middle]);
            self.state = State::Over;
            return;
        }
        chunk.push_str(&text);
        self.next += 1;
        if self.next < self.selection.len() {
            chunk.push(',');
        }
    }

    fn open(&mut self, chunk: &mut String) {
        chunk.push('[');
        self.state = State::Within;
        if let Some(first) = self.first.take() {
            chunk.push_str(&first);
            if self.selection.len() > 0 {
                chunk.push(',');
            }
        }
    }

    fn close(&mut self, chunk: &mut String) {
        if !self.half {
            chunk.push(']');
        }
        self.state = State::Over;
    }
}

impl Iterator for ArrayText {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut chunk = String::new();
        while chunk.len() < CHUNK && self.state != State::Over {
            match self.state {
                State::Before => self.open(&mut chunk),
                _ if self.next < self.selection.len() => self.record(&mut chunk),
                _ => self.close(&mut chunk),
            }
        }
        (!chunk.is_empty()).then(|| chunk.into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::Memory;
    use super::super::modes::Modes;
    use super::super::selection::{self, Parameters};
    use super::*;

    fn text(n: usize, half: bool) -> ArrayText {
        let mut memory = Memory::default();
        memory.issue_many(n, 1_767_225_600_000, 1_767_225_700_000);
        ArrayText::new(selection::alerts(&memory, Parameters(&[]), &Modes::default(), 0).unwrap(), None, half)
    }

    #[test]
    fn no_more_than_a_chunk_is_held_at_a_time() {
        let chunks: Vec<usize> = text(500, false).map(|chunk| chunk.len()).collect();
        assert!(chunks.len() > 30 && chunks.iter().all(|&bytes| bytes < CHUNK + 12_000), "{chunks:?}");
        assert_eq!(text(500, false).bytes(), chunks.iter().sum::<usize>());
    }

    #[test]
    fn half_a_text_stops_within_a_record() {
        for n in [0, 1, 2, 9] {
            let bytes: Vec<u8> = text(n, true).flatten().collect();
            let whole: Vec<u8> = text(n, false).flatten().collect();
            assert!(whole.starts_with(&bytes) && bytes.len() < whole.len(), "{n} records");
            assert!(!bytes.ends_with(b"}") && !bytes.ends_with(b","), "{n} records");
        }
    }
}
