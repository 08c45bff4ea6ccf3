//! A source file as the rules of the architecture see it: words, texts, and the paths that are written out in it.
//!
//! Comments are gone, and so is what only tests compile. It is no parser of Rust: it knows enough to find where a path
//! begins, to take `use` trees apart, and to resolve `crate`, `self` and `super`. What a macro makes is not seen.

use std::fs;
use std::path::Path;

/// One file below `src`.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// From the root of the repository, with slashes.
    pub(crate) path: String,
    module: Vec<String>,
    tokens: Vec<Token>,
    /// Child modules in files of their own that only tests compile.
    tests: Vec<String>,
}

#[derive(Clone, Debug)]
struct Token {
    line: usize,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Word(String),
    Text(String),
    Mark(char),
}

/// Something that stands in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found<T> {
    pub(crate) line: usize,
    pub(crate) what: T,
}

/// A path that begins with a root: this crate, or a name that is handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) line: usize,
    /// It stands in a `use`.
    pub(crate) imported: bool,
    /// It leads into this crate; `crate` itself is left out then. Otherwise the other crate's name comes first.
    pub(crate) ours: bool,
    pub(crate) path: Vec<String>,
}

impl Source {
    /// Every file below `root/src` but those that only tests compile.
    pub(crate) fn all(root: &Path) -> Vec<Self> {
        let mut sources = Vec::new();
        collect(root, &root.join("src"), &mut sources);
        let tests: Vec<Vec<String>> = sources.iter().flat_map(Self::test_modules).collect();
        sources.retain(|source| !tests.iter().any(|test| source.module.starts_with(test)));
        sources.sort_by(|a, b| a.path.cmp(&b.path));
        sources
    }

    /// The file at `path` with this text.
    pub(crate) fn of(path: &str, text: &str) -> Self {
        let (tokens, tests) = without_tests(tokens(text));
        let stem = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
        let module = if stem == "lib" { Vec::new() } else { stem.split('/').map(str::to_owned).collect() };
        Self { path: path.to_owned(), module, tokens, tests }
    }

    /// The top-level module that the file belongs to; `lib` for the root.
    pub(crate) fn top(&self) -> &str {
        self.module.first().map_or("lib", String::as_str)
    }

    /// The names of its module, those above it, and the modules inside the file.
    pub(crate) fn modules(&self) -> Vec<Found<String>> {
        let own = self.module.iter().map(|name| Found { line: 1, what: name.clone() });
        let inside = self.tokens.windows(2).filter(|pair| pair[0].is("mod")).filter_map(|pair| match &pair[1].kind {
            Kind::Word(name) => Some(Found { line: pair[1].line, what: name.clone() }),
            _ => None,
        });
        own.chain(inside).collect()
    }

    /// Every identifier and keyword.
    pub(crate) fn words(&self) -> impl Iterator<Item = Found<&str>> {
        self.tokens.iter().filter_map(|token| match &token.kind {
            Kind::Word(word) => Some(Found { line: token.line, what: word.as_str() }),
            _ => None,
        })
    }

    /// Every string literal.
    pub(crate) fn texts(&self) -> impl Iterator<Item = Found<&str>> {
        self.tokens.iter().filter_map(|token| match &token.kind {
            Kind::Text(text) => Some(Found { line: token.line, what: text.as_str() }),
            _ => None,
        })
    }

    /// Every `.name(`.
    pub(crate) fn calls(&self) -> impl Iterator<Item = Found<&str>> {
        self.tokens.windows(3).filter_map(|three| match (&three[0].kind, &three[1].kind, &three[2].kind) {
            (Kind::Mark('.'), Kind::Word(name), Kind::Mark('(')) => Some(Found { line: three[1].line, what: &**name }),
            _ => None,
        })
    }

    /// Every path that begins with `crate`, `self`, `super`, our own name or one of `foreign`, `use` trees taken apart.
    pub(crate) fn references(&self, foreign: &[String]) -> Vec<Reference> {
        let mut found = Vec::new();
        let mut inside: Vec<(String, usize)> = Vec::new();
        let mut depth = 0;
        let mut at = 0;
        while let Some(token) = self.tokens.get(at) {
            match &token.kind {
                Kind::Mark('{') => depth += 1,
                Kind::Mark('}') => {
                    depth -= 1;
                    inside.retain(|(_, opened)| *opened < depth + 1);
                }
                Kind::Word(word) if word == "mod" => {
                    if let (Some(Kind::Word(name)), Some(Kind::Mark('{'))) = (self.kind(at + 1), self.kind(at + 2)) {
                        inside.push((name.clone(), depth + 1));
                    }
                }
                Kind::Word(word) if self.begins_a_path(at, word, foreign) => {
                    let mut paths = Vec::new();
                    let end = self.tree(at, &[], &mut paths);
                    let base: Vec<String> =
                        self.module.iter().cloned().chain(inside.iter().map(|(name, _)| name.clone())).collect();
                    let imported = at.checked_sub(1).is_some_and(|at| self.tokens[at].is("use"));
                    found.extend(paths.into_iter().map(|path| resolve(path, &base, token.line, imported)));
                    at = end;
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        found
    }

    fn begins_a_path(&self, at: usize, word: &str, foreign: &[String]) -> bool {
        let root =
            ["crate", "self", "super", "darktrace_sentinel"].contains(&word) || foreign.iter().any(|f| f == word);
        let behind = |back: usize| at.checked_sub(back).and_then(|at| self.kind(at));
        let continues = behind(1) == Some(&Kind::Mark(':'))
            && behind(2) == Some(&Kind::Mark(':'))
            && matches!(behind(3), Some(Kind::Word(_) | Kind::Mark('>')));
        let imported = matches!(behind(1), Some(Kind::Word(word)) if word == "use");
        let goes_on = self.kind(at + 1) == Some(&Kind::Mark(':')) && self.kind(at + 2) == Some(&Kind::Mark(':'));
        root && !continues && (goes_on || imported) && behind(1) != Some(&Kind::Mark('.'))
    }

    /// Reads a path or a `use` tree that begins at `at`; returns where it ends.
    fn tree(&self, mut at: usize, before: &[String], paths: &mut Vec<Vec<String>>) -> usize {
        let mut path = before.to_vec();
        loop {
            match self.kind(at) {
                Some(Kind::Word(word)) => path.push(word.clone()),
                Some(Kind::Mark('*')) => path.push("*".to_owned()),
                Some(Kind::Mark('{')) => return self.group(at + 1, &path, paths),
                _ => break,
            }
            at += 1;
            let separated = self.kind(at) == Some(&Kind::Mark(':')) && self.kind(at + 1) == Some(&Kind::Mark(':'));
            if !separated {
                break;
            }
            at += 2;
        }
        if path.len() > before.len() {
            paths.push(path);
        }
        at
    }

    fn group(&self, mut at: usize, before: &[String], paths: &mut Vec<Vec<String>>) -> usize {
        loop {
            match self.kind(at) {
                None => return at,
                Some(Kind::Mark('}')) => return at + 1,
                Some(Kind::Word(word)) if word == "self" => {
                    paths.push(before.to_vec());
                    at += 1;
                }
                Some(Kind::Word(word)) if word == "as" => at += 2,
                Some(Kind::Word(_) | Kind::Mark('*' | '{')) => at = self.tree(at, before, paths),
                Some(_) => at += 1,
            }
        }
    }

    fn kind(&self, at: usize) -> Option<&Kind> {
        self.tokens.get(at).map(|token| &token.kind)
    }

    fn test_modules(&self) -> impl Iterator<Item = Vec<String>> {
        self.tests.iter().map(|name| self.module.iter().chain([name]).cloned().collect())
    }
}

impl Token {
    fn is(&self, word: &str) -> bool {
        matches!(&self.kind, Kind::Word(own) if own == word)
    }
}

fn collect(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, sources);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            sources.push(Source::of(&name, &fs::read_to_string(&path).unwrap()));
        }
    }
}

fn resolve(mut path: Vec<String>, base: &[String], line: usize, imported: bool) -> Reference {
    let root = path.remove(0);
    let mut from = match root.as_str() {
        "crate" | "darktrace_sentinel" => Vec::new(),
        "self" => base.to_vec(),
        "super" => base[..base.len().saturating_sub(1)].to_vec(),
        _ => {
            path.insert(0, root);
            return Reference { line, imported, ours: false, path };
        }
    };
    while path.first().is_some_and(|first| first == "super") {
        path.remove(0);
        from.pop();
    }
    from.append(&mut path);
    Reference { line, imported, ours: true, path: from }
}

/// Leaves out the items behind `#[cfg(test)]`, and names the modules among them that are files of their own.
fn without_tests(tokens: Vec<Token>) -> (Vec<Token>, Vec<String>) {
    let (mut kept, mut modules) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        if !opens_test(&tokens[at..]) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        while tokens.get(at).is_some_and(|token| token.kind == Kind::Mark('#')) {
            at = closing(&tokens, at + 1);
        }
        let begin = at;
        while !matches!(tokens.get(at).map(|t| &t.kind), None | Some(Kind::Mark(';' | '{'))) {
            at = if matches!(tokens[at].kind, Kind::Mark('(' | '[')) { closing(&tokens, at) } else { at + 1 };
        }
        let name = tokens[begin..at].iter().skip_while(|token| !token.is("mod")).nth(1);
        match (tokens.get(at).map(|token| &token.kind), name.map(|token| &token.kind)) {
            (Some(Kind::Mark('{')), _) => at = closing(&tokens, at),
            (Some(_), Some(Kind::Word(name))) => {
                modules.push(name.clone());
                at += 1;
            }
            _ => at += 1,
        }
    }
    (kept, modules)
}

fn opens_test(tokens: &[Token]) -> bool {
    let word = |word: &str| Kind::Word(word.to_owned());
    let attribute = [
        Kind::Mark('#'),
        Kind::Mark('['),
        word("cfg"),
        Kind::Mark('('),
        word("test"),
        Kind::Mark(')'),
        Kind::Mark(']'),
    ];
    tokens.len() >= attribute.len() && tokens.iter().zip(&attribute).all(|(token, kind)| token.kind == *kind)
}

/// The place behind the bracket that closes the one at `at`.
fn closing(tokens: &[Token], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(token) = tokens.get(at) {
        match token.kind {
            Kind::Mark('(' | '[' | '{') => depth += 1,
            Kind::Mark(')' | ']' | '}') => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            break;
        }
    }
    at
}

fn tokens(text: &str) -> Vec<Token> {
    let mut reader = Reader { rest: text, line: 1 };
    std::iter::from_fn(|| reader.token()).collect()
}

/// What is still to be read.
struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl Reader<'_> {
    fn token(&mut self) -> Option<Token> {
        loop {
            let line = self.line;
            let first = self.rest.chars().next()?;
            let kind = match first {
                _ if self.rest.starts_with("//") => {
                    self.until("\n");
                    continue;
                }
                _ if self.rest.starts_with("/*") => {
                    self.skip_comment();
                    continue;
                }
                '"' => Kind::Text(self.text()),
                '\'' => {
                    self.skip_character_or_lifetime();
                    continue;
                }
                _ if first.is_whitespace() => {
                    self.take(first.len_utf8());
                    continue;
                }
                _ if first.is_ascii_digit() => {
                    self.word();
                    continue;
                }
                _ if first.is_alphabetic() || first == '_' => match self.raw_text() {
                    Some(text) => Kind::Text(text),
                    None => Kind::Word(self.word()),
                },
                _ => {
                    self.take(first.len_utf8());
                    Kind::Mark(first)
                }
            };
            return Some(Token { line, kind });
        }
    }

    fn take(&mut self, length: usize) -> String {
        let (taken, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken.to_owned()
    }

    fn until(&mut self, end: &str) -> String {
        let length = self.rest.find(end).map_or(self.rest.len(), |at| at + end.len());
        self.take(length)
    }

    fn word(&mut self) -> String {
        self.rest = self.rest.strip_prefix("r#").unwrap_or(self.rest);
        let length = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        self.take(length)
    }

    fn skip_comment(&mut self) {
        let mut depth = 0;
        while !self.rest.is_empty() {
            if self.rest.starts_with("/*") {
                depth += 1;
                self.take(2);
            } else if self.rest.starts_with("*/") {
                depth -= 1;
                self.take(2);
                if depth == 0 {
                    return;
                }
            } else {
                let length = self.rest.chars().next().map_or(0, char::len_utf8);
                self.take(length);
            }
        }
    }

    fn text(&mut self) -> String {
        self.take(1);
        let mut text = String::new();
        while let Some(first) = self.rest.chars().next() {
            self.take(first.len_utf8());
            match first {
                '"' => break,
                '\\' if self.rest.starts_with('\n') => {
                    self.take(self.rest.len() - self.rest.trim_start().len());
                }
                '\\' => {
                    let escaped = self.rest.chars().next().unwrap_or_default();
                    self.take(escaped.len_utf8());
                    text.push(if escaped.is_alphanumeric() { ' ' } else { escaped });
                }
                _ => text.push(first),
            }
        }
        text
    }

    /// `r"…"`, `r#"…"#`, and the same or a plain literal behind `b`, `c`, `br` and `cr`.
    fn raw_text(&mut self) -> Option<String> {
        let prefix = ["br", "cr", "r", "b", "c"].into_iter().find(|prefix| {
            let rest = self.rest.strip_prefix(prefix).map(|rest| rest.trim_start_matches('#'));
            rest.is_some_and(|rest| rest.starts_with('"'))
        })?;
        self.take(prefix.len());
        if !prefix.ends_with('r') {
            return self.rest.starts_with('"').then(|| self.text());
        }
        let hashes = self.rest.len() - self.rest.trim_start_matches('#').len();
        self.take(hashes + 1);
        let end = format!("\"{}", "#".repeat(hashes));
        let text = self.until(&end);
        Some(text.strip_suffix(&end).unwrap_or(&text).to_owned())
    }

    fn skip_character_or_lifetime(&mut self) {
        self.take(1);
        let mut characters = self.rest.chars();
        let (first, second) = (characters.next().unwrap_or_default(), characters.next());
        if first == '\\' {
            self.take(2);
            self.until("'");
        } else if second == Some('\'') {
            self.take(first.len_utf8() + 1);
        }
    }
}

mod tests {
    use super::*;

    fn ours(path: &str, text: &str) -> Vec<String> {
        let references = Source::of(path, text).references(&["std".to_owned()]);
        let paths = references.into_iter().map(|reference| match (reference.ours, reference.path.join("::")) {
            (true, path) => format!("{}:{path}", reference.line),
            (false, path) => format!("{}:<{path}>", reference.line),
        });
        paths.collect()
    }

    #[test]
    fn use_trees_are_taken_apart() {
        let text = "use crate::{a::{self, b as c}, d::*};\nuse std::{env, fmt::Write as _};\nuse std as s;";
        assert_eq!(
            ours("src/x.rs", text),
            ["1:a", "1:a::b", "1:d::*", "2:<std::env>", "2:<std::fmt::Write>", "3:<std>"]
        );
    }

    #[test]
    fn paths_in_code_are_found_and_field_names_are_not() {
        let text = "fn f() { crate::a::b(::std::mem::take(x)); y.crate_::z; self.std; fmt::std::x; Self::g() }";
        assert_eq!(ours("src/x.rs", text), ["1:a::b", "1:<std::mem::take>"]);
    }

    #[test]
    fn relative_paths_are_resolved_from_where_they_stand() {
        let text =
            "use super::y;\nuse super::super::z::Z;\nmod inner { use super::super::y2; use self::own; }\nuse super::w;";
        assert_eq!(ours("src/a/x.rs", text), ["1:a::y", "2:z::Z", "3:a::y2", "3:a::x::inner::own", "4:a::w"]);
        assert_eq!(ours("src/a.rs", "use super::b::c;"), ["1:b::c"]);
    }

    #[test]
    fn comments_strings_and_characters_hide_nothing_and_are_not_code() {
        let text = "// crate::a\n/* crate::b /* crate::c */ */ /// crate::d\nlet x = (\"crate::e \\\" \", r#\"crate::f\"\"#);\n\
                    let q = ('\"', b'\\'', '\\u{27}', 'é'); fn f<'a>(x: &'a crate::g::G) {}";
        assert_eq!(ours("src/x.rs", text), ["4:g::G"]);
        let source = Source::of("src/x.rs", text);
        let texts: Vec<_> = source.texts().map(|found| found.what).collect();
        assert_eq!(texts, ["crate::e \" ", "crate::f\""]);
    }

    #[test]
    fn what_only_tests_compile_is_left_out() {
        let text = "use crate::a::A;\n#[cfg(test)]\nuse crate::b;\n#[cfg(test)]\n#[expect(x, reason = \"y\")]\nmod tests { \
                    use crate::c; fn f() {} }\n#[cfg(test)] fn g(x: [u8; 2]) { crate::d() }\n#[cfg(test)] mod far;\n\
                    #[cfg(feature = \"z\")]\nuse crate::e::E;";
        assert_eq!(ours("src/x.rs", text), ["1:a::A", "10:e::E"]);
        let modules: Vec<_> = Source::of("src/x.rs", text).test_modules().collect();
        assert_eq!(modules, [["x", "far"]]);
    }
}
