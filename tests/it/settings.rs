//! The settings page and the example file say what the code does.

use darktrace_sentinel::settings::{ALL, Definition, Settings};
use darktrace_sentinel::source::Source;
use std::collections::HashMap;

const PAGE: &str = include_str!("../../docs/settings.md");
const EXAMPLE: &str = include_str!("../../local.settings.json.example");

/// Settings of the Functions host and its tools that this program never reads.
const HOSTS_OWN: [&str; 2] =
    ["FUNCTIONS_WORKER_RUNTIME", "AzureFunctionsJobHost__customHandler__description__defaultExecutablePath"];

/// The instances that the page uses as examples.
const PAGES_INSTANCES: [&str; 2] = ["hq", "site-b"];

#[test]
fn every_setting_has_one_row_with_its_default() {
    for definition in ALL {
        let rows: Vec<Vec<&str>> = rows_of(definition.name);
        assert_eq!(rows.len(), 1, "{} has {} rows in docs/settings.md", definition.name, rows.len());
        assert_eq!(rows[0][1], definition.default.to_string(), "{}", definition.name);
        assert!(!rows[0][2].is_empty(), "{}", definition.name);
        assert_eq!(rows[0][3].starts_with("yes"), definition.per_instance, "{}", definition.name);
        assert_eq!(rows[0][2].contains("*Secret.*"), definition.secret, "{}", definition.name);
    }
}

#[test]
fn the_page_names_no_setting_that_does_not_exist() {
    let mut names = backquoted(PAGE);
    names.extend(PAGE.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name));
    names.retain(|name| looks_like_a_setting(name));
    assert!(names.len() > ALL.len(), "the page was not understood");
    for name in names {
        assert!(is_known(name), "docs/settings.md names `{name}`, which is not a setting");
    }
}

#[test]
fn the_page_names_every_source() {
    let row = &rows_of("DARKTRACE_SOURCES")[0];
    for source in Source::ALL {
        assert!(row.iter().any(|cell| cell.contains(source.name())), "docs/settings.md does not name {source}");
    }
}

#[test]
fn the_example_holds_known_names_only() {
    for name in example().keys() {
        assert!(is_known(name) || HOSTS_OWN.contains(&name.as_str()), "local.settings.json.example names {name}");
    }
}

#[test]
fn the_example_is_complete_and_right() {
    let values = example();
    let settings = Settings::read(&|name| values.get(name).cloned());
    assert!(settings.is_ok(), "{}", settings.unwrap_err());
}

#[test]
fn the_example_is_what_func_start_needs() {
    let file: serde_json::Value = serde_json::from_str(EXAMPLE).unwrap();
    // Absent, it would count as true, and every value would be decrypted into nonsense.
    assert_eq!(file["IsEncrypted"], false);
    let values = example();
    assert_eq!(values["FUNCTIONS_WORKER_RUNTIME"], "custom");
    assert_eq!(values["AzureWebJobsStorage"], "UseDevelopmentStorage=true");
    assert!(values.contains_key("POLL_SCHEDULE"), "the host does not know our default");
}

/// The cells of the table rows that begin with that setting.
fn rows_of(name: &str) -> Vec<Vec<&'static str>> {
    let start = format!("| `{name}` |");
    let rows = PAGE.lines().filter(|line| line.starts_with(&start));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// What stands between backquotes, line by line, code blocks aside.
fn backquoted(page: &'static str) -> Vec<&'static str> {
    let lines = page.lines().filter(|line| !line.starts_with("```"));
    lines.flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

/// Capitals and underscores, or one of the host's names with their double underscore.
fn looks_like_a_setting(name: &str) -> bool {
    let in_capitals = name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    in_capitals && name.trim_matches('_').contains('_')
        || name.starts_with("AzureWebJobs")
        || name.starts_with("AzureFunctionsJobHost__")
}

/// What every HTTP client reads, and no definition of ours.
const OF_ALL_CLIENTS: [&str; 2] = ["HTTPS_PROXY", "NO_PROXY"];

fn is_known(name: &str) -> bool {
    let of_an_instance = |definition: &Definition| {
        definition.per_instance && PAGES_INSTANCES.iter().any(|instance| definition.name_for(instance) == name)
    };
    OF_ALL_CLIENTS.contains(&name) || ALL.iter().any(|definition| definition.name == name || of_an_instance(definition))
}

/// The values of the example; none at all when they are not flat strings, as the host wants them.
fn example() -> HashMap<String, String> {
    let file: serde_json::Value = serde_json::from_str(EXAMPLE).unwrap_or_default();
    serde_json::from_value(file["Values"].clone()).unwrap_or_default()
}
