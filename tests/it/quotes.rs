//! What the pages for operators quote is what the program says.
//!
//! A block of a page that begins with `<!-- said: name -->` is compared with what the provocation of that name made the
//! program print, once all that varies is replaced by placeholders such as `<time>`. A block that quotes somebody else, the
//! host or Azure, begins with `<!-- of: who, address -->` and is not compared. There is no third kind.
//!
//! `UPDATE_DOCS=1 cargo nextest run --all-features quotes` writes the blocks anew. The provocations are in the files below, by
//! who is at fault.

mod azure;
mod check;
mod master;
mod network;
mod own;
mod placeholders;
mod storage;

use crate::journeys::line_of;
use crate::world::{Run, World};
use darktrace_sentinel::source::Source;
use placeholders::normalised;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The pages with blocks.
const PAGES: [&str; 2] = ["docs/troubleshooting.md", "docs/operations.md"];
const BEGIN: &str = "```text\n";
const END: &str = "\n```\n";

/// What of a health row tells a failure, in the order of the table.
const TELLING: [&str; 5] = ["Status", "StoppedBy", "FailureClass", "FailurePhase", "HttpStatus"];

/// That the blocks of this name, of which there is one at least, hold these lines.
#[track_caller]
fn said(name: &str, lines: &[impl AsRef<str>]) {
    let lines: Vec<String> = lines.iter().map(|line| normalised(line.as_ref())).collect();
    let told = lines.join("\n");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        rewrite(name, &told);
    }
    let quoted: Vec<(&str, String)> = PAGES.iter().flat_map(|page| blocks_of(page, name)).collect();
    assert!(!quoted.is_empty(), "no page has a block <!-- said: {name} --> for\n{told}");
    for (page, text) in quoted {
        assert_eq!(text, told, "{page} quotes {name} otherwise than it is said; make it again with UPDATE_DOCS=1");
    }
}

/// The sentences of `page` that the program is said to say under this name.
fn blocks_of(page: &'static str, name: &str) -> Vec<(&'static str, String)> {
    let mark = format!("<!-- said: {name} -->\n");
    let text = read(page);
    let after = text.split(&mark).skip(1).map(|rest| block(rest).unwrap_or_else(|| panic!("{page}: no block: {name}")));
    after.map(|block| (page, block.to_owned())).collect()
}

/// The text of the block that begins here.
fn block(text: &str) -> Option<&str> {
    text.strip_prefix(BEGIN)?.split_once(END).map(|(block, _)| block)
}

/// Tests of several processes may write the same page.
fn rewrite(name: &str, told: &str) {
    let lock = fs::File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("quotes.lock")).unwrap();
    lock.lock().unwrap();
    for page in PAGES {
        let mark = format!("<!-- said: {name} -->\n");
        let text = read(page);
        let mut parts = text.split(&mark);
        let mut new = parts.next().unwrap().to_owned();
        for part in parts {
            let (_, rest) = part.strip_prefix(BEGIN).unwrap().split_once("```\n").unwrap();
            new.push_str(&format!("{mark}{BEGIN}{told}{END}{rest}"));
        }
        if new != text {
            // Others may be reading it.
            let beside = path(page).with_extension("new");
            fs::write(&beside, new).unwrap();
            fs::rename(beside, path(page)).unwrap();
        }
    }
}

fn path(page: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(page)
}

fn read(page: &str) -> String {
    fs::read_to_string(path(page)).unwrap()
}

impl World {
    /// One poll of model alerts: its line in the log, and what the health row tells beside it.
    async fn polled(&self) -> [String; 2] {
        let run = self.poll().await;
        [line_of(&run, Source::ModelAlerts).to_owned(), self.health_row(Source::ModelAlerts)]
    }

    /// What the newest health row of a source tells.
    fn health_row(&self, source: Source) -> String {
        let row = self.health_of(source);
        let told =
            TELLING.iter().filter(|name| !row[**name].is_null()).map(|name| format!("\"{name}\": {}", row[*name]));
        format!("{{{}}}", told.collect::<Vec<_>>().join(", "))
    }

    /// The one line of `check` about a thing.
    async fn finding(&self, checked: &str) -> String {
        let run = self.run(&["check"]).await;
        finding_in(&run, checked)
    }
}

/// The lines of a command on its standard output, but for the one that says how it is set up.
fn answer(run: &Run) -> Vec<&str> {
    run.stdout.lines().filter(|line| !line.is_empty() && !line.starts_with("INFO ")).collect()
}

/// The one line of a check that ended about a thing.
fn finding_in(run: &Run, checked: &str) -> String {
    let about = |line: &&str| line.split_once("  ").is_some_and(|_| line.contains(&format!("  {checked}: ")));
    let found: Vec<&str> = run.stdout.lines().filter(about).collect();
    assert_eq!(found.len(), 1, "{checked}\n{}", run.text());
    found[0].to_owned()
}

#[test]
fn every_block_is_either_said_by_the_program_or_said_to_be_somebody_elses() {
    for page in PAGES {
        let text = read(page);
        let mut before = "";
        for line in text.lines() {
            if line == BEGIN.trim_end() {
                let theirs = before.starts_with("<!-- of: ") && before.contains(", https://");
                assert!(before.starts_with("<!-- said: ") || theirs, "{page}: who says the block after {before:?}?");
            }
            before = line;
        }
    }
}

#[test]
fn the_contents_of_the_page_name_every_section_in_order() {
    let page = read(PAGES[0]);
    let headings: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let before = page.lines().take_while(|line| !line.starts_with("## "));
    let contents: Vec<&str> =
        before.filter_map(|line| line.split_once(". [")?.1.split_once("](#").map(|(heading, _)| heading)).collect();
    assert_eq!(contents, headings);
    assert!(headings.len() > 20);
}

#[test]
fn every_block_has_a_provocation() {
    let code = crate::architecture::documents::everything(&["tests/it/quotes"]).replace(char::is_whitespace, "");
    for page in PAGES {
        for name in names_in(&read(page)) {
            assert!(code.contains(&format!("said(\"{name}\"")), "nothing provokes {name}, which {page} quotes");
        }
    }
}

/// The names of the blocks of a page.
fn names_in(page: &str) -> BTreeSet<&str> {
    let marks = page.lines().filter_map(|line| line.strip_prefix("<!-- said: ")?.strip_suffix(" -->"));
    marks.collect()
}

/// What the pages quote, by name.
fn quotes() -> BTreeMap<String, String> {
    let of = |page: &'static str| {
        let text = read(page);
        let names: Vec<String> = names_in(&text).into_iter().map(str::to_owned).collect();
        names
            .into_iter()
            .flat_map(move |name| blocks_of(page, &name).into_iter().map(move |(_, text)| (name.clone(), text)))
    };
    PAGES.into_iter().flat_map(of).collect()
}

#[test]
fn what_the_readme_says_of_failures_is_quoted_in_full_elsewhere() {
    let quotes = quotes();
    let readme = read("README.md");
    let section = readme.split("\n## ").find(|section| section.starts_with("How it fails")).unwrap();
    let cells = section.lines().filter(|line| line.starts_with("| ")).skip(1).filter_map(|row| row.split('|').nth(3));
    let phrases: Vec<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert!(phrases.len() >= 3, "the table was not understood: {phrases:?}");
    for phrase in phrases {
        assert!(quotes.values().any(|quote| has_in_order(quote, phrase)), "README.md: nobody says {phrase:?}");
    }
}

/// Whether a text has the parts of a phrase, between which an ellipsis stands, in order.
fn has_in_order(text: &str, phrase: &str) -> bool {
    let mut rest = text;
    phrase.split('…').all(|part| match rest.split_once(part) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}
