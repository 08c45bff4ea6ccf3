//! Looks names up, parses their texts and remembers what was wrong.
//!
//! An empty text, or one of blanks only, counts as absent: the portal and templates write an empty value where they mean
//! none. It does not know what any setting means.

use super::definition::{Definition, Preset};
use super::problem::{Problem, Problems};

/// The environment with a list of problems. Whatever returns `None` for a value that is needed has noted a problem.
pub(super) struct Reader<'a> {
    get: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<Problem>,
}

/// The start of a setting whose Key Vault reference the platform left as it was
/// (<https://learn.microsoft.com/azure/app-service/app-service-key-vault-references>).
const UNRESOLVED: &str = "@microsoft.keyvault(";

impl<'a> Reader<'a> {
    pub(super) fn new(get: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { get, problems: Vec::new() }
    }

    /// The value if nothing at all was wrong, else every problem.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, Problems> {
        match value {
            Some(value) if self.problems.is_empty() => Ok(value),
            _ => Err(Problems(self.problems)),
        }
    }

    /// The text of that name without the blanks around it.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let text = (self.get)(name)?;
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// Whether the setting has a text.
    pub(super) fn has(&self, definition: &Definition) -> bool {
        self.text(definition.name).is_some()
    }

    /// Notes what is wrong with a setting under its plain name.
    pub(super) fn refuse(&mut self, definition: &Definition, what: impl Into<String>) {
        self.refuse_as(definition.name, definition, what);
    }

    /// Notes what is wrong with a setting under the name that one instance has for it.
    pub(super) fn refuse_as(&mut self, name: &str, definition: &Definition, what: impl Into<String>) {
        let problem = Problem { name: name.to_owned(), what: what.into(), example: definition.example };
        // A plain value that several instances share is wrong only once.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// The value of a setting, or of its default.
    pub(super) fn value<T>(&mut self, of: &Definition, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        self.first_value(of, &[of.name], parse)
    }

    /// The value under the first of these names that has a text, or the default's value. What is missing and required is
    /// a problem of the first name.
    pub(super) fn first_value<T>(
        &mut self,
        of: &Definition,
        names: &[&str],
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let found = names.iter().find_map(|name| Some((*name, self.text(name)?)));
        let (name, text) = match (found, of.default) {
            (Some((name, text)), _) => (name, text),
            (None, Preset::Value(text)) => (of.name, text.to_owned()),
            (None, Preset::Required) => {
                self.refuse_as(names.first().unwrap_or(&of.name), of, "is missing");
                return None;
            }
            (None, Preset::OneRequired | Preset::Empty | Preset::Platform) => return None,
        };
        let value = if is_unresolved(&text) { Err(unresolved()) } else { parse(&text) };
        value.map_err(|what| self.refuse_as(name, of, what)).ok()
    }
}

fn is_unresolved(text: &str) -> bool {
    text.get(..UNRESOLVED.len()).is_some_and(|start| start.eq_ignore_ascii_case(UNRESOLVED))
}

fn unresolved() -> String {
    "still holds its Key Vault reference, so the platform could not resolve it: \
     give the identity of the function app the role Key Vault Secrets User on the secret, and check the secret's address"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::definition::{FAST_LOOKBACK, HOST, STORAGE};
    use super::*;

    fn plain(text: &str) -> Result<String, String> {
        Ok(text.to_owned())
    }

    #[test]
    fn an_empty_text_counts_as_absent() {
        for empty in ["", "  ", "\n"] {
            let get = |_: &str| Some(empty.to_owned());
            let mut reader = Reader::new(&get);
            assert_eq!(reader.value(&FAST_LOOKBACK, plain).as_deref(), Some("15m"));
            assert_eq!(reader.value(&STORAGE, plain), None);
            assert_eq!(reader.value(&HOST, plain), None);
            let problems = reader.finish(Some(())).unwrap_err();
            assert_eq!(
                problems.iter().map(|p| (p.name.as_str(), p.what.as_str())).collect::<Vec<_>>(),
                [("DARKTRACE_HOST", "is missing")]
            );
        }
    }

    #[test]
    fn blanks_around_a_text_do_not_count() {
        let get = |_: &str| Some(" a b\n".to_owned());
        assert_eq!(Reader::new(&get).value(&HOST, plain).as_deref(), Some("a b"));
    }

    #[test]
    fn the_problem_carries_the_name_under_which_the_text_was_found() {
        let get = |name: &str| (name == "DARKTRACE_HOST").then(|| "x".to_owned());
        let mut reader = Reader::new(&get);
        reader.first_value(&HOST, &["DARKTRACE_HQ_HOST", "DARKTRACE_HOST"], |_| Err::<(), _>("is odd".to_owned()));
        assert_eq!(reader.finish(Some(())).unwrap_err().iter().next().unwrap().name, "DARKTRACE_HOST");
    }

    #[test]
    fn a_reference_that_the_platform_left_as_it_was_names_the_role_that_is_missing() {
        let get = |_: &str| Some("@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/s/)".to_owned());
        let mut reader = Reader::new(&get);
        assert_eq!(reader.value(&HOST, plain), None);
        let problems = reader.finish(Some(())).unwrap_err().to_string();
        assert!(problems.contains("Key Vault Secrets User"), "{problems}");
    }
}
