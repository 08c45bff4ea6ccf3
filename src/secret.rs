//! A text that cannot be printed by accident.
//!
//! Tokens, keys and connection strings travel as this type from the settings to the one place that uses them. It does not
//! know what it holds and does not wipe its memory: the process environment holds the same text anyway. Who reads one is
//! found by searching for [`Secret::expose`]; where they come from is in [`crate::settings`].

use std::fmt;

/// A text whose `Debug` and `Display` are always `[redacted]`, whatever it holds and however long it is.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    /// Takes the text over.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the line of code that signs or sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_form_of_printing_shows_the_text_or_its_length() {
        let secret = Secret::new("canary");
        for printed in [format!("{secret}"), format!("{secret:?}"), format!("{secret:#?}"), format!("{secret:>20}")] {
            assert_eq!(printed, "[redacted]");
        }
        assert_eq!(format!("{:?}", Some(Secret::new(""))), "Some([redacted])");
    }

    #[test]
    fn whoever_asks_by_name_gets_the_text() {
        assert_eq!(Secret::new("canary").expose(), "canary");
    }
}
