//! What the documents say of the code is there: guards, links, commands.

use super::{document, root};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn every_guard_that_the_page_names_exists() {
    let page = document("ARCHITECTURE.md");
    let section = page.split("\n## ").find(|section| section.starts_with("Invariants")).unwrap();
    let guards: Vec<&str> =
        section.lines().filter(|line| line.starts_with("| ")).skip(1).flat_map(backquoted_of_last_cell).collect();
    assert!(guards.len() > 10, "the table was not understood");
    let code = everything(&["src", "tests/it"]);
    for guard in guards {
        assert!(code.contains(&format!("fn {guard}(")), "ARCHITECTURE.md names {guard}, which is no test");
    }
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    let pages =
        fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let pages = pages.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}"));
    let top = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].map(str::to_owned);
    let names: Vec<String> = top.into_iter().chain(pages).collect();
    assert!(names.len() > 8, "docs/ was not read: {names:?}");
    for name in &names {
        let text = document(name);
        let folder = Path::new(name).parent().unwrap();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://")) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { name.into() } else { folder.join(file) };
            assert!(root().join(&path).exists(), "{name} leads to {target}");
            let there = if heading.is_empty() { String::new() } else { document(path.to_str().unwrap()) };
            assert!(heading.is_empty() || anchors(&there).contains(heading), "{name} leads to {target}");
        }
    }
}

#[test]
fn the_two_commands_stand_at_the_top_of_the_readme() {
    let top: Vec<String> = document("README.md").lines().take(20).map(str::to_owned).collect();
    for command in ["cargo run -- demo", "scripts/test"] {
        assert!(top.iter().any(|line| line.starts_with(command)), "{command} is not in the first 20 lines");
    }
}

fn backquoted_of_last_cell(row: &str) -> impl Iterator<Item = &str> {
    let cell = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
    cell.split('`').skip(1).step_by(2)
}

/// The anchors of a page's headings, as forges make them.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let plain = |c: &char| c.is_alphanumeric() || [' ', '-', '_'].contains(c);
    headings.map(|heading| heading.to_lowercase().chars().filter(plain).collect::<String>().replace(' ', "-")).collect()
}

/// All the code in these folders.
pub(crate) fn everything(folders: &[&str]) -> String {
    fn read(folder: &Path, text: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read(&path, text);
            } else if path.extension().is_some_and(|end| end == "rs") {
                text.push_str(&fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut text = String::new();
    folders.iter().for_each(|folder| read(&root().join(folder), &mut text));
    text
}
