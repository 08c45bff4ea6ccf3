//! A JSON array in, its elements out as raw bytes, while the array still arrives.
//!
//! Memory holds one unfinished element, whatever the size of the answer. The splitter follows strings and nesting and
//! nothing else: whether an element is good JSON is found out when it is mapped, so that one bad record does not take its
//! neighbours with it. It does not know where the bytes come from ([`crate::darktrace`]) or what they mean ([`crate::row`]).

/// Splits one array. Feed it the bytes in order, then ask [`Splitter::finish`] whether the array was whole.
#[derive(Debug)]
pub struct Splitter {
    /// Bytes of the unfinished element, and behind it what was fed but not looked at.
    buffer: Vec<u8>,
    /// Where scanning goes on.
    scanned: usize,
    /// Where the unfinished element begins.
    start: usize,
    depth: u32,
    in_string: bool,
    stage: Stage,
    elements: u64,
    /// The largest element that is accepted, in bytes.
    largest: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Before,
    Inside,
    After,
}

/// Why an answer is not an array of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// The first byte that is not white space opens no array.
    #[error("the answer is not a JSON array")]
    NotAnArray,
    /// Something follows the array, or an element is missing between two commas.
    #[error("the answer is not a well-formed JSON array")]
    Malformed,
    /// The array was not closed.
    #[error("the answer broke off in the middle of the array")]
    Torn,
    /// One element is larger than the limit.
    #[error("a single record of the answer is larger than {0} bytes")]
    RecordTooLarge(usize),
}

impl Splitter {
    /// A splitter that refuses elements of more than `largest` bytes.
    #[must_use]
    pub fn new(largest: usize) -> Self {
        Self {
            buffer: Vec::new(),
            scanned: 0,
            start: 0,
            depth: 0,
            in_string: false,
            stage: Stage::Before,
            elements: 0,
            largest,
        }
    }

    /// Takes the next bytes and hands out every element that they complete, without the white space around it.
    ///
    /// # Errors
    /// When the bytes cannot belong to an array; elements that were handed out before stay valid.
    pub fn feed(&mut self, data: &[u8], mut each: impl FnMut(&[u8])) -> Result<(), SplitError> {
        self.buffer.extend_from_slice(data);
        self.scan(&mut each)?;
        self.forget_handed_out();
        if self.buffer.len() > self.largest {
            return Err(SplitError::RecordTooLarge(self.largest));
        }
        Ok(())
    }

    /// Says whether the array was complete and nothing followed it.
    ///
    /// # Errors
    /// [`SplitError::Torn`] when it was not closed, [`SplitError::NotAnArray`] when there was nothing at all.
    pub const fn finish(&self) -> Result<(), SplitError> {
        match self.stage {
            Stage::Before => Err(SplitError::NotAnArray),
            Stage::Inside => Err(SplitError::Torn),
            Stage::After => Ok(()),
        }
    }

    fn scan(&mut self, each: &mut impl FnMut(&[u8])) -> Result<(), SplitError> {
        while self.scanned < self.buffer.len() {
            match self.stage {
                Stage::Before => self.open()?,
                Stage::After => return self.expect_nothing(),
                Stage::Inside if self.in_string => {
                    if !self.skip_string() {
                        return Ok(());
                    }
                }
                Stage::Inside => self.scan_structure(each)?,
            }
        }
        Ok(())
    }

    fn open(&mut self) -> Result<(), SplitError> {
        let byte = self.buffer[self.scanned];
        self.scanned += 1;
        match byte {
            b'[' => {
                self.stage = Stage::Inside;
                self.start = self.scanned;
                Ok(())
            }
            _ if byte.is_ascii_whitespace() => Ok(()),
            // A byte order mark, in three bytes, is tolerated before the array.
            0xEF | 0xBB | 0xBF => Ok(()),
            _ => Err(SplitError::NotAnArray),
        }
    }

    fn expect_nothing(&mut self) -> Result<(), SplitError> {
        let clean = self.buffer[self.scanned..].iter().all(u8::is_ascii_whitespace);
        self.scanned = self.buffer.len();
        self.start = self.scanned;
        clean.then_some(()).ok_or(SplitError::Malformed)
    }

    /// Jumps to the end of the string. False when it does not end in what is there.
    fn skip_string(&mut self) -> bool {
        while let Some(at) = memchr::memchr2(b'"', b'\\', &self.buffer[self.scanned..]) {
            let at = self.scanned + at;
            if self.buffer[at] == b'"' {
                self.scanned = at + 1;
                self.in_string = false;
                return true;
            }
            if at + 1 == self.buffer.len() {
                // The escaped character comes with the next bytes: look at the backslash again then.
                self.scanned = at;
                return false;
            }
            self.scanned = at + 2;
        }
        self.scanned = self.buffer.len();
        false
    }

    /// Outside of strings: up to the next string, the end of the array or the end of what is there.
    fn scan_structure(&mut self, each: &mut impl FnMut(&[u8])) -> Result<(), SplitError> {
        let mut at = self.scanned;
        let mut depth = self.depth;
        while let Some(&byte) = self.buffer.get(at) {
            at += 1;
            match byte {
                b'"' => {
                    self.in_string = true;
                    break;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth > 0 => depth -= 1,
                b',' if depth == 0 => {
                    self.hand_out(at, each)?;
                }
                b']' => {
                    self.close(at, each)?;
                    break;
                }
                b'}' => return Err(SplitError::Malformed),
                _ => {}
            }
        }
        self.depth = depth;
        self.scanned = at;
        Ok(())
    }

    /// The element that ends before the byte before `after`.
    fn hand_out(&mut self, after: usize, each: &mut impl FnMut(&[u8])) -> Result<(), SplitError> {
        let element = self.buffer[self.start..after - 1].trim_ascii();
        if element.is_empty() {
            return Err(SplitError::Malformed);
        }
        each(element);
        self.elements += 1;
        self.start = after;
        Ok(())
    }

    fn close(&mut self, after: usize, each: &mut impl FnMut(&[u8])) -> Result<(), SplitError> {
        let empty_array = self.elements == 0 && self.buffer[self.start..after - 1].trim_ascii().is_empty();
        if !empty_array {
            self.hand_out(after, each)?;
        }
        self.stage = Stage::After;
        self.start = after;
        Ok(())
    }

    fn forget_handed_out(&mut self) {
        let kept = if self.stage == Stage::Before { self.scanned } else { self.start };
        self.buffer.drain(..kept);
        self.scanned -= kept;
        self.start = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(body: &[u8], piece: usize) -> Result<Vec<String>, SplitError> {
        let mut splitter = Splitter::new(1 << 20);
        let mut records = Vec::new();
        for data in body.chunks(piece) {
            splitter.feed(data, |record| records.push(String::from_utf8_lossy(record).into_owned()))?;
        }
        splitter.finish().map(|()| records)
    }

    #[test]
    fn records_come_out_whole_however_the_answer_is_cut() {
        let body = br#" [ {"a":"]},{","b":[1,{"c":"\\\""}]} , {"d":"\\"},7,"x,y" ] "#;
        let whole = [r#"{"a":"]},{","b":[1,{"c":"\\\""}]}"#, r#"{"d":"\\"}"#, "7", r#""x,y""#];
        for piece in 1..=body.len() {
            assert_eq!(split(body, piece).unwrap(), whole, "pieces of {piece}");
        }
    }

    #[test]
    fn an_empty_array_has_no_records() {
        assert_eq!(split(b"[]", 1), Ok(vec![]));
        assert_eq!(split(b"\xEF\xBB\xBF [ \n ] ", 2), Ok(vec![]));
    }

    #[test]
    fn a_torn_array_is_never_whole() {
        let body = br#"[{"a":1},{"b":"c]"#;
        for end in 1..=body.len() {
            assert_eq!(split(&body[..end], 3), Err(SplitError::Torn), "{end} bytes");
        }
    }

    #[test]
    fn what_is_no_array_is_refused() {
        for body in ["", "  ", "{}", "<html>", "null"] {
            assert_eq!(split(body.as_bytes(), 4), Err(SplitError::NotAnArray), "{body}");
        }
        for body in ["[1,]", "[,1]", "[1]]", "[1] x", "[1}]"] {
            assert_eq!(split(body.as_bytes(), 4), Err(SplitError::Malformed), "{body}");
        }
    }

    #[test]
    fn a_record_over_the_limit_is_refused_before_it_is_held_whole() {
        let mut splitter = Splitter::new(100);
        assert_eq!(splitter.feed(b"[\"", |_| {}), Ok(()));
        assert_eq!(splitter.feed(&[b'x'; 200], |_| {}), Err(SplitError::RecordTooLarge(100)));
    }

    #[test]
    fn a_bad_record_leaves_its_neighbours_alone() {
        let records = split(br#"[{"a":1},{"a":NaN},{"a":2}]"#, 5).unwrap();
        assert_eq!(records, [r#"{"a":1}"#, r#"{"a":NaN}"#, r#"{"a":2}"#]);
    }

    proptest! {
        #[test]
        fn splitting_agrees_with_a_parser(values in proptest::collection::vec(any_json(), 0..8), piece in 1_usize..40) {
            let body = serde_json::to_vec_pretty(&values).unwrap();
            let records = split(&body, piece).unwrap();
            let parsed: Vec<serde_json::Value> = records.iter().map(|r| serde_json::from_str(r).unwrap()).collect();
            prop_assert_eq!(parsed, values);
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            "[\\\\\"\\[\\]{},a-zü]{0,12}".prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                proptest::collection::btree_map("[a-z\"\\\\]{1,4}", inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }
}
