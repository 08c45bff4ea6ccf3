//! Rows that are counted instead of kept: of each one its number and its key, 16 bytes a row.
//!
//! With them it can be said of millions of rows that none is missing, how many came again, and that what came again came as
//! the same. Which columns hold number and key is the test's to say. Rows that are kept are in `post`.

use serde_json::Value;
use std::num::NonZeroU128;
use std::ops::RangeInclusive;

/// Counts the rows of one stream.
#[derive(Clone, Debug)]
pub struct Tally {
    number: String,
    key: String,
    first: i64,
    /// The key of each number that came, in order of the numbers.
    keys: Vec<Option<NonZeroU128>>,
    counted: Counted,
}

/// What a tally came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Numbers that came at least once.
    pub distinct: u64,
    /// Numbers that were expected and did not come.
    pub missing: u64,
    /// Rows whose number and key had come before.
    pub repeats: u64,
    /// Rows whose number had come before with another key.
    pub changed: u64,
    /// Rows without such a number, or without a key of 32 hexadecimal digits.
    pub strange: u64,
}

impl Tally {
    /// A tally of the rows whose column `number` has one of these numbers, as a number or as text, and whose column `key`
    /// has 32 hexadecimal digits.
    #[must_use]
    pub fn new(number: &str, key: &str, expected: RangeInclusive<i64>) -> Self {
        let count = expected.end().saturating_sub(*expected.start()).saturating_add(1);
        let keys = vec![None; usize::try_from(count).unwrap_or(0)];
        let counted = Counted { missing: keys.len() as u64, ..Counted::default() };
        Self { number: number.to_owned(), key: key.to_owned(), first: *expected.start(), keys, counted }
    }

    /// What it has come to.
    #[must_use]
    pub const fn counted(&self) -> Counted {
        self.counted
    }

    /// How many numbers have a key that another number has, too. Takes the time and the memory to sort them.
    #[must_use]
    pub fn shared_keys(&self) -> usize {
        let mut keys: Vec<NonZeroU128> = self.keys.iter().copied().flatten().collect();
        keys.sort_unstable();
        keys.windows(2).filter(|pair| pair[0] == pair[1]).count()
    }

    pub(super) fn take(&mut self, row: &Value) {
        let (slot, key) = (self.slot(&row[&self.number]), key_of(&row[&self.key]));
        let (Some(slot), Some(key)) = (slot, key) else {
            self.counted.strange += 1;
            return;
        };
        match self.keys[slot].replace(key) {
            None => {
                self.counted.distinct += 1;
                self.counted.missing -= 1;
            }
            Some(before) if before == key => self.counted.repeats += 1,
            Some(_) => self.counted.changed += 1,
        }
    }

    fn slot(&self, number: &Value) -> Option<usize> {
        let number = number.as_i64().or_else(|| number.as_str()?.parse().ok())?;
        usize::try_from(number.checked_sub(self.first)?).ok().filter(|slot| *slot < self.keys.len())
    }
}

fn key_of(key: &Value) -> Option<NonZeroU128> {
    let digits = key.as_str().filter(|text| text.len() == 32)?;
    NonZeroU128::new(u128::from_str_radix(digits, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tally(rows: &[Value]) -> Tally {
        let mut tally = Tally::new("id", "key", 10..=14);
        rows.iter().for_each(|row| tally.take(row));
        tally
    }

    fn row(id: impl Into<Value>, key: u128) -> Value {
        json!({"id": id.into(), "key": format!("{key:032x}"), "more": "x"})
    }

    #[test]
    fn what_is_missing_repeated_changed_or_strange_is_counted() {
        let rows = [row(10, 1), row("11", 2), row(10, 1), row("11", 3), row(14, 4)];
        let counted = Counted { distinct: 3, missing: 2, repeats: 1, changed: 1, strange: 0 };
        assert_eq!(tally(&rows).counted(), counted);
        let strangers = [row(9, 1), row(15, 1), row("x", 1), row(10, 0), json!({"id": 10}), json!({"key": 1})];
        assert_eq!(tally(&strangers).counted(), Counted { missing: 5, strange: 6, ..Counted::default() });
    }

    #[test]
    fn a_key_of_two_numbers_is_noticed() {
        assert_eq!(tally(&[row(10, 1), row(11, 2), row(12, 3), row(10, 1)]).shared_keys(), 0);
        assert_eq!(tally(&[row(10, 1), row(11, 2), row(12, 1)]).shared_keys(), 1);
    }
}
