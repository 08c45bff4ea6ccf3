//! What is wrong with the settings, in words that may be logged.
//!
//! A problem never holds the value of a secret. Another value is quoted only when it is short and plain
//! ([`quoted`]): a token that was pasted into the wrong setting is longer than what is quoted.

use std::fmt;

/// One setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The setting as the operator has to write it, e.g. `DARKTRACE_HQ_HOST`.
    pub name: String,
    /// What is wrong, as the rest of a sentence that begins with the name.
    pub what: String,
    /// A value that would be right.
    pub example: &'static str,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} (example: {})", self.name, self.what, self.example)
    }
}

/// Everything that is wrong with the settings, in the order in which they are read. Prints as one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub(super) Vec<Problem>);

impl Problems {
    /// The problems one by one.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("one setting needs attention: ")?,
            count => write!(f, "{count} settings need attention: ")?,
        }
        for (at, problem) in self.0.iter().enumerate() {
            write!(f, "{}{problem}", if at == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Tokens and keys are longer than this many characters, every sensible duration, number or word is shorter.
const LONGEST_QUOTE: usize = 24;

/// The value in backquotes if it is short and plain, else only its length.
pub(super) fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || " -_.:,*/+".contains(c);
    let count = value.chars().count();
    if count <= LONGEST_QUOTE && value.chars().all(plain) {
        format!("`{value}`")
    } else {
        format!("a value of {count} characters")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(name: &str) -> Problem {
        Problem { name: name.to_owned(), what: "is missing".to_owned(), example: "15m" }
    }

    #[test]
    fn all_problems_are_told_on_one_line_with_name_and_example() {
        let problems = Problems(vec![problem("A"), problem("B")]);
        assert_eq!(
            problems.to_string(),
            "2 settings need attention: A is missing (example: 15m); B is missing (example: 15m)"
        );
        assert_eq!(problems.iter().count(), 2);
    }

    #[test]
    fn a_value_is_quoted_only_when_it_is_short_and_plain() {
        assert_eq!(quoted("15 minutes"), "`15 minutes`");
        assert_eq!(quoted("two\nlines"), "a value of 9 characters");
        assert_eq!(quoted("0123456789abcdef0123456789abcdef01234567"), "a value of 40 characters");
    }
}
