//! The one-way street and the other rules of `ARCHITECTURE.md`, held against the real sources.
//!
//! Each rule is a function of the sources that names what breaks it, and each is shown here to notice a break. The table of
//! ranks exists three times, for three readers: here, in `ARCHITECTURE.md` and in the comments of `src/lib.rs`; they are
//! compared.

pub(crate) mod documents;
mod source;

use darktrace_sentinel::settings::ALL;
use darktrace_sentinel::source::Source as AlertSource;
use source::{Reference, Source};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Modules of one rank.
struct Rank {
    name: &'static str,
    modules: &'static [&'static str],
    /// Which crates they may use, the standard library aside.
    crates: Crates,
}

enum Crates {
    Only(&'static [&'static str]),
    AllBut(&'static [&'static str]),
}

/// A module imports lower ranks and its own children. `main` is the binary.
const RANKS: [Rank; 6] = [
    Rank { name: "0", modules: &["instant", "key", "secret", "source"], crates: Crates::Only(&["sha2"]) },
    Rank {
        name: "1",
        modules: &[
            "attack",
            "batch",
            "checkpoint",
            "conditions",
            "records",
            "report",
            "retry",
            "row",
            "settings",
            "status",
            "window",
        ],
        crates: Crates::Only(&["base64", "maud", "memchr", "serde", "serde_json", "sha2", "thiserror", "url"]),
    },
    Rank {
        name: "2",
        modules: &["darktrace", "http", "identity", "ingestion", "store", "vault"],
        crates: Crates::AllBut(&["axum", "clap", "tracing_subscriber"]),
    },
    Rank {
        name: "3",
        modules: &["backfill", "check", "cycle"],
        crates: Crates::AllBut(&[
            "axum",
            "azure_core",
            "azure_identity",
            "azure_storage_blob",
            "clap",
            "reqwest",
            "rustls",
            "tracing_subscriber",
        ]),
    },
    Rank { name: "4", modules: &["app", "cli", "handler", "log", "main"], crates: Crates::AllBut(&[]) },
    Rank {
        name: "S",
        modules: &["sim"],
        crates: Crates::Only(&[
            "axum",
            "base64",
            "bytes",
            "flate2",
            "futures_util",
            "hmac",
            "serde",
            "serde_json",
            "sha1",
            "sha2",
            "tokio",
            "uuid",
        ]),
    },
];

/// Every import between modules of one rank, and why it is right. The same table is in `ARCHITECTURE.md`.
const SAME_RANK: [(&str, &str, &str); 13] = [
    ("row", "attack", "rows show what a record names of ATT&CK"),
    ("row", "report", "a health row is a report written down"),
    ("status", "report", "a history is made of reports"),
    ("window", "checkpoint", "windows follow from the saved position"),
    ("darktrace", "http", "the shared transport"),
    ("identity", "http", "the shared transport"),
    ("ingestion", "http", "the shared transport"),
    ("vault", "http", "the shared transport"),
    ("backfill", "cycle", "a chosen range goes through the same cycle"),
    ("cli", "app", "a command runs the assembled app"),
    ("cli", "handler", "`serve` runs the handler"),
    ("cli", "log", "a command starts the log"),
    ("main", "cli", "the binary hands over at once"),
];

/// The command that may use the simulators, and that plays the operator: it writes the names of settings as one does.
const DEMO: [&str; 2] = ["src/cli/demo.rs", "src/cli/demo/"];

/// What of the standard library ranks 0 and 1 may use: nothing that waits, or asks a clock, the disk or the network.
const PURE: [&str; 23] = [
    "array",
    "borrow",
    "cmp",
    "collections",
    "convert",
    "error",
    "fmt",
    "hash",
    "iter",
    "marker",
    "mem",
    "net::IpAddr",
    "net::Ipv4Addr",
    "net::Ipv6Addr",
    "num",
    "ops",
    "path::PathBuf",
    "slice",
    "str",
    "string",
    "sync::LazyLock",
    "time::Duration",
    "vec",
];

/// Methods of paths that look at the disk.
const LOOKS_AT_DISK: [&str; 8] =
    ["canonicalize", "exists", "is_dir", "is_file", "metadata", "read_dir", "read_link", "symlink_metadata"];

/// What the environment is read or changed with.
const ENVIRONMENT: [&str; 8] = ["args", "args_os", "remove_var", "set_var", "var", "var_os", "vars", "vars_os"];

/// How settings begin. `CHECKPOINT_DIR` and the like, which share no beginning, are known by their whole names.
const SETTINGS_BEGIN: [&str; 4] = ["DARKTRACE_", "AZURE_", "AzureWebJobs", "AzureFunctionsJobHost"];

/// What begins like a setting and is none of ours: the variable that only test builds know and only `main` reads, and what
/// the Functions host alone reads.
const NO_SETTINGS: [&str; 3] = [
    "DARKTRACE_SENTINEL_CRASH_AT",
    "DARKTRACE_SENTINEL_PANIC_AT",
    "AzureFunctionsJobHost__customHandler__description__defaultExecutablePath",
];

/// Names that say nothing of the domain.
const EMPTY_NAMES: [&str; 8] = ["common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"];

#[test]
fn a_module_imports_lower_ranks_and_its_own_children_only() {
    holds(imports_climb);
    notices(imports_climb, "src/window.rs", "use crate::http::Clock;");
    notices(imports_climb, "src/store/file.rs", "fn f() { super::super::vault::x() }");
    notices(imports_climb, "src/ingestion.rs", "use crate::{http, darktrace::Client};");
    notices(imports_climb, "src/instant.rs", "use crate::window;");
    notices(imports_climb, "src/row.rs", "use crate::*;");
    ignores(imports_climb, "src/row.rs", "use crate::report::Report; use crate::row::value; use self::walk;");
    ignores(imports_climb, "src/window.rs", "#[cfg(test)] mod tests { use crate::cycle; } // crate::cycle");
}

#[test]
fn each_exception_of_the_same_rank_is_needed_and_none_leads_back() {
    let sources = sources();
    let imports: BTreeSet<(String, String)> =
        sources.iter().flat_map(|source| imports(source).map(|(_, to)| (source.top().to_owned(), to))).collect();
    for (from, to, why) in SAME_RANK {
        assert_eq!(rank_of(from), rank_of(to), "{from} and {to} are of two ranks");
        assert!(imports.contains(&(from.to_owned(), to.to_owned())), "{from} no longer imports {to} ({why})");
    }
    let mut left = SAME_RANK.to_vec();
    while !left.is_empty() {
        let before = left.len();
        let importing: Vec<_> = left.iter().map(|(from, ..)| *from).collect();
        left.retain(|(_, to, _)| importing.contains(to));
        assert!(left.len() < before, "a circle: {left:?}");
    }
}

#[test]
fn every_module_has_a_rank() {
    holds(modules_without_rank);
    notices(modules_without_rank, "src/sidecar.rs", "");
    let sources = sources();
    for module in RANKS.iter().flat_map(|rank| rank.modules) {
        assert!(sources.iter().any(|source| source.top() == *module), "there is no module {module} any more");
    }
}

#[test]
fn the_table_of_ranks_is_the_same_for_all_its_readers() {
    let page = document("ARCHITECTURE.md");
    let library = document("src/lib.rs");
    for Rank { name, modules, .. } in &RANKS {
        let modules: BTreeSet<&str> = modules.iter().copied().collect();
        assert_eq!(modules_in_page(&page, name), modules, "rank {name} in ARCHITECTURE.md");
        let of_library: BTreeSet<&str> = modules.into_iter().filter(|module| *module != "main").collect();
        assert_eq!(modules_in_library(&library, name), of_library, "rank {name} in src/lib.rs");
    }
    for (from, to, why) in SAME_RANK {
        let row = format!("| `{from}` → `{to}` | {why} |");
        assert!(page.contains(&row), "ARCHITECTURE.md lacks the line {row}");
    }
    let exceptions = page.lines().filter(|line| line.starts_with("| `") && line.contains("` → `")).count();
    assert_eq!(exceptions, SAME_RANK.len(), "ARCHITECTURE.md has exceptions that the test does not know");
}

#[test]
fn words_and_rules_neither_wait_nor_ask_the_clock_the_disk_the_network_or_the_environment() {
    holds(impure_rules);
    for text in [
        "pub async fn f() {}",
        "use std::fs;",
        "use std::net::{IpAddr, TcpStream};",
        "fn f() { std::env::var(\"X\") }",
        "use std::time::{Duration, SystemTime};",
        "fn f() { std::time::Instant::now() }",
        "use std::{time, fmt};",
        "use std::thread;",
        "fn f(path: PathBuf) { path.exists() }",
    ] {
        notices(impure_rules, "src/settings/trust.rs", text);
        ignores(impure_rules, "src/store/file.rs", text);
    }
    ignores(impure_rules, "src/row/value.rs", "use std::net::IpAddr; use std::{fmt, time::Duration};");
}

#[test]
fn each_rank_uses_the_crates_that_are_its_own_business() {
    holds(foreign_crates);
    notices(foreign_crates, "src/instant.rs", "use serde::Deserialize;");
    notices(foreign_crates, "src/batch.rs", "fn f() { uuid::Uuid::new_v4() }");
    notices(foreign_crates, "src/retry.rs", "use tokio::time::sleep;");
    notices(foreign_crates, "src/identity.rs", "use axum::Router;");
    notices(foreign_crates, "src/cycle/post.rs", "use reqwest::StatusCode;");
    notices(foreign_crates, "src/sim/server.rs", "use reqwest::Client;");
    ignores(foreign_crates, "src/cycle/post.rs", "use bytes::Bytes; use flate2::Compression;");
}

#[test]
fn the_environment_is_read_in_main_alone() {
    holds(environment_readers);
    notices(environment_readers, "src/app.rs", "fn f() { std::env::var(\"X\") }");
    notices(environment_readers, "src/cli.rs", "use std::env;");
    notices(environment_readers, "src/sim/server.rs", "use std::env::vars_os;");
    ignores(environment_readers, "src/main.rs", "fn f() { std::env::var(\"X\") }");
    ignores(environment_readers, "src/cli/demo.rs", "fn f() { std::env::temp_dir(); env!(\"CARGO_PKG_VERSION\") }");
}

#[test]
fn http_clients_are_built_in_one_module() {
    holds(http_clients);
    for text in [
        "fn f() { reqwest::Client::builder() }",
        "fn f() { reqwest::Client::new() }",
        "fn f() { reqwest::ClientBuilder::new() }",
        "fn f() { reqwest::get(\"x\") }",
        "use reqwest::Client;",
        "use reqwest::{Client as C, Url};",
        "use reqwest;",
        "use reqwest::*;",
    ] {
        notices(http_clients, "src/vault.rs", text);
        ignores(http_clients, "src/http.rs", text);
    }
    ignores(http_clients, "src/vault.rs", "struct S { http: reqwest::Client } use reqwest::header::DATE;");
}

#[test]
fn only_the_cycle_writes_to_the_store_and_only_its_ledger_writes_the_state() {
    holds(writers);
    notices(writers, "src/check/azure.rs", "const NAME: &str = \"deadletter/x.json\"; fn f() { Expect::Absent }");
    notices(writers, "src/check/master.rs", "use crate::store::{Expect, Store};");
    ignores(writers, "src/check/azure.rs", "use crate::store::Expect; fn f() { format!(\"check/{}\", 1) }");
    notices(writers, "src/app.rs", "use crate::store::{Expect, Store};");
    notices(writers, "src/cli/poll.rs", "fn f() { crate::store::Expect::Anything }");
    notices(writers, "src/cli/dead_letters.rs", "async fn f() { app.store().delete(name).await }");
    notices(writers, "src/cycle/post.rs", "fn f() { self.names.state() }");
    notices(writers, "src/cycle/operate/watermark.rs", "fn f() { self.names.state() }");
    notices(writers, "src/cycle/health.rs", "const NAME: &str = \"state/hq/model-alerts.json\";");
    ignores(writers, "src/cycle/operate/replay.rs", "async fn f() { self.store.delete(name).await }");
    ignores(writers, "src/cycle/ledger/standing.rs", "fn f() { names.state() }");
    ignores(writers, "src/cycle/ledger.rs", "use crate::store::Expect; fn f() { self.names.state(); \"state/\" }");
}

#[test]
fn simulators_share_no_code_with_what_they_test() {
    holds(simulators);
    notices(simulators, "src/sim/calendar.rs", "use crate::instant::Instant;");
    notices(simulators, "src/sim/appliance/answer.rs", "fn f() { super::super::super::records::x() }");
    notices(simulators, "src/app.rs", "use crate::sim::appliance::Appliance;");
    notices(simulators, "src/cli.rs", "fn f() { crate::sim::x() }");
    ignores(simulators, "src/cli/demo/story.rs", "use crate::sim::appliance::Appliance;");
    ignores(simulators, "src/sim/appliance.rs", "use super::{calendar, locked}; use crate::sim::body;");
}

#[test]
fn setting_names_are_written_in_settings_and_elsewhere_only_as_part_of_a_sentence() {
    holds(setting_names);
    notices(setting_names, "src/app.rs", "fn f() { get(\"DARKTRACE_HOST\") }");
    notices(setting_names, "src/cli/serve.rs", "const PORT: &str = \"FUNCTIONS_CUSTOMHANDLER_PORT\";");
    notices(setting_names, "src/identity.rs", "fn f() { format!(\"DARKTRACE_{name}_HOST\") }");
    notices(setting_names, "src/http.rs", "const HINT: &str = \"set DARKTRACE_ACCEPT_ANYTHING to true\";");
    notices(setting_names, "src/http.rs", "const HINT: &str = \"check AzureWebJobsStorage__queueServiceUri, please\";");
    ignores(setting_names, "src/http.rs", "const HINT: &str = \"check DARKTRACE_HOST; it has to be the master\";");
    ignores(setting_names, "src/settings/definition.rs", "const NAME: &str = \"DARKTRACE_HOST\";");
    ignores(setting_names, "src/cli/demo/world.rs", "const NAME: &str = \"DARKTRACE_HOST\";");
    notices(setting_names, "src/cli/demo/world.rs", "const NAME: &str = \"DARKTRACE_HOTS\";");
}

#[test]
fn a_source_is_named_in_its_table_and_nowhere_else() {
    holds(named_sources);
    notices(named_sources, "src/app.rs", "fn f() { match source { Source::ModelAlerts => 1, _ => 2 } }");
    notices(named_sources, "src/cycle.rs", "fn f() { source == crate::source::Source::AiAnalyst }");
    notices(named_sources, "src/cycle/intake.rs", "const NAME: &str = \"model-alerts\";");
    ignores(named_sources, "src/app.rs", "fn f() { Source::ALL.len() + Source::named(name) }");
    ignores(named_sources, "src/source.rs", "fn f() { Source::ModelAlerts }");
    ignores(named_sources, "src/cli/demo/story.rs", "const NAME: &str = \"model-alerts\";");
}

#[test]
fn modules_are_named_by_the_domain() {
    holds(empty_names);
    notices(empty_names, "src/row/util.rs", "");
    notices(empty_names, "src/common/thing.rs", "");
    notices(empty_names, "src/row.rs", "mod helpers { }");
    ignores(empty_names, "src/row/walk.rs", "struct Manager; fn common() {}");
}

type Rule = fn(&Source) -> Vec<String>;

fn holds(rule: Rule) {
    let broken: Vec<String> = sources().iter().flat_map(rule).collect();
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

fn notices(rule: Rule, path: &str, text: &str) {
    assert!(!rule(&Source::of(path, text)).is_empty(), "{path} may not say {text}");
}

fn ignores(rule: Rule, path: &str, text: &str) {
    assert_eq!(rule(&Source::of(path, text)), Vec::<String>::new(), "{path} may say {text}");
}

fn imports_climb(source: &Source) -> Vec<String> {
    let own = source.top();
    let broken = imports(source).filter(|(_, to)| {
        let lower = rank_of(to).zip(rank_of(own)).is_some_and(|(to, own)| to < own);
        let named = SAME_RANK.iter().any(|(a, b, _)| *a == own && b == to);
        // What concerns the simulators has a rule of its own.
        !(to == own || lower || named || to == "sim" || own == "sim")
    });
    broken.map(|(line, to)| format!("{}:{line}: {own} may not import {to}", source.path)).collect()
}

fn modules_without_rank(source: &Source) -> Vec<String> {
    let known = source.top() == "lib" || rank_of(source.top()).is_some();
    if known { Vec::new() } else { vec![format!("{} has no rank in tests/it/architecture.rs", source.path)] }
}

fn impure_rules(source: &Source) -> Vec<String> {
    if rank_of(source.top()).is_none_or(|rank| rank > 1) {
        return Vec::new();
    }
    let waits = source.words().filter(|word| ["async", "await"].contains(&word.what));
    let mut broken: Vec<String> = waits.map(|word| format!("{}:{}: {}", source.path, word.line, word.what)).collect();
    let disk = source.calls().filter(|call| LOOKS_AT_DISK.contains(&call.what));
    broken.extend(disk.map(|call| format!("{}:{}: .{}()", source.path, call.line, call.what)));
    let asks = foreign(source).into_iter().filter(|reference| {
        let inside = reference.path[1..].join("::") + "::";
        is_standard(&reference.path[0]) && !PURE.iter().any(|part| inside.starts_with(&format!("{part}::")))
    });
    broken.extend(asks.map(|reference| told(source, &reference)));
    broken
}

fn foreign_crates(source: &Source) -> Vec<String> {
    let Some(rank) = RANKS.iter().find(|rank| rank.modules.contains(&source.top())) else { return Vec::new() };
    let may = |name: &str| match &rank.crates {
        Crates::Only(names) => names.contains(&name),
        Crates::AllBut(names) => !names.contains(&name),
    };
    let roots = foreign(source).into_iter().filter(|reference| !is_standard(&reference.path[0]));
    roots.filter(|reference| !may(&reference.path[0])).map(|reference| told(source, &reference)).collect()
}

fn environment_readers(source: &Source) -> Vec<String> {
    let readers = foreign(source).into_iter().filter(|reference| {
        let path: Vec<&str> = reference.path.iter().map(String::as_str).collect();
        match path[..] {
            [root] | [root, "*" | "env"] => is_standard(root),
            [root, "env", name, ..] => is_standard(root) && (name == "*" || ENVIRONMENT.contains(&name)),
            _ => false,
        }
    });
    readers.filter(|_| source.top() != "main").map(|reference| told(source, &reference)).collect()
}

/// The type may be written out. What makes a client, or an import that would let it be made under a shorter name, may not.
fn http_clients(source: &Source) -> Vec<String> {
    const MAKERS: [&str; 3] = ["reqwest::ClientBuilder", "reqwest::blocking", "reqwest::get"];
    let made = foreign(source).into_iter().filter(|reference| {
        let path = reference.path.join("::");
        let hidden = reference.imported && ["reqwest", "reqwest::*", "reqwest::Client"].contains(&path.as_str());
        hidden || path.starts_with("reqwest::Client::") || MAKERS.iter().any(|maker| path.starts_with(maker))
    });
    made.filter(|_| source.top() != "http").map(|reference| told(source, &reference)).collect()
}

/// A write takes an `Expect`, so whoever does not name it cannot write. A removal is known by its name. The check writes one
/// document, to find out whether it may, under a name that nobody else reads.
fn writers(source: &Source) -> Vec<String> {
    const PROBE: &str = "src/check/azure.rs";
    let mut broken = Vec::new();
    if source.path == PROBE {
        let names = source.texts().filter(|text| !text.what.contains(' ') && text.what.contains('/'));
        let strange = names.filter(|text| !text.what.starts_with("check/") && text.what != "{name}.json");
        broken.extend(strange.map(|text| format!("{}:{}: {}", source.path, text.line, text.what)));
    }
    if !["store", "cycle"].contains(&source.top()) && source.path != PROBE {
        let expectations = source.words().filter(|word| word.what == "Expect");
        broken.extend(expectations.map(|word| format!("{}:{}: Expect", source.path, word.line)));
        let removals = source.calls().filter(|call| call.what == "delete");
        broken.extend(removals.map(|call| format!("{}:{}: .delete()", source.path, call.line)));
    }
    if source.path != "src/cycle/ledger.rs" && !source.path.starts_with("src/cycle/ledger/") {
        let calls = source.calls().filter(|call| call.what == "state");
        broken.extend(calls.map(|call| format!("{}:{}: .state()", source.path, call.line)));
        let names = source.texts().filter(|text| text.what.starts_with("state/"));
        broken.extend(names.map(|text| format!("{}:{}: {}", source.path, text.line, text.what)));
    }
    broken
}

fn simulators(source: &Source) -> Vec<String> {
    let broken = imports(source).filter(|(_, to)| match source.top() {
        "sim" => to != "sim",
        _ => to == "sim" && !is_demo(source),
    });
    broken.map(|(line, to)| format!("{}:{line}: imports {to}", source.path)).collect()
}

/// Alone, a name is for the settings and the demo. Within a sentence it may stand anywhere, as long as there is such a
/// setting.
fn setting_names(source: &Source) -> Vec<String> {
    let is_known = |name: &str| ALL.iter().any(|definition| definition.name == name);
    let is_invented = |name: &&str| begins_as_a_setting(name) && !is_known(name) && !NO_SETTINGS.contains(name);
    let mut broken = Vec::new();
    for text in source.texts().filter(|_| source.top() != "settings") {
        let whole = !text.what.contains(char::is_whitespace)
            && !NO_SETTINGS.contains(&text.what)
            && (begins_as_a_setting(text.what) || is_known(text.what));
        let mut words = text.what.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        if (whole && !is_demo(source)) || words.any(|word| is_invented(&word)) {
            broken.push(format!("{}:{}: {:?}", source.path, text.line, text.what));
        }
    }
    broken
}

fn is_demo(source: &Source) -> bool {
    DEMO.iter().any(|place| source.path.starts_with(place))
}

fn begins_as_a_setting(text: &str) -> bool {
    SETTINGS_BEGIN.iter().any(|begin| text.starts_with(begin))
}

/// That a new source is an entry in the table and two files of its own.
fn named_sources(source: &Source) -> Vec<String> {
    if source.path == "src/source.rs" || source.top() == "sim" || is_demo(source) {
        return Vec::new();
    }
    let variants: Vec<String> = AlertSource::ALL.iter().map(|source| format!("{source:?}")).collect();
    let names_one = |path: &[String]| path.windows(2).any(|pair| pair[0] == "Source" && variants.contains(&pair[1]));
    let references = source.references(&["Source".to_owned()]).into_iter().filter(|found| names_one(&found.path));
    let texts = source.texts().filter(|text| AlertSource::named(text.what).is_some());
    let references = references.map(|found| format!("{}:{}: {}", source.path, found.line, found.path.join("::")));
    references.chain(texts.map(|text| format!("{}:{}: {:?}", source.path, text.line, text.what))).collect()
}

fn empty_names(source: &Source) -> Vec<String> {
    let names = source.modules().into_iter().filter(|name| EMPTY_NAMES.contains(&name.what.as_str()));
    names.map(|name| format!("{}:{}: a module called {}", source.path, name.line, name.what)).collect()
}

/// The modules of this crate that a file names, with the line. Only `crate` itself has no first part.
fn imports(source: &Source) -> impl Iterator<Item = (usize, String)> {
    let ours = source.references(&[]).into_iter().filter(|reference| reference.ours);
    ours.filter_map(|reference| Some((reference.line, reference.path.into_iter().next()?)))
}

/// The paths into other crates that a file names.
fn foreign(source: &Source) -> Vec<Reference> {
    source.references(&dependencies()).into_iter().filter(|reference| !reference.ours).collect()
}

fn told(source: &Source, reference: &Reference) -> String {
    format!("{}:{}: {}", source.path, reference.line, reference.path.join("::"))
}

fn rank_of(module: &str) -> Option<usize> {
    RANKS.iter().position(|rank| rank.modules.contains(&module))
}

fn is_standard(root: &str) -> bool {
    ["std", "core", "alloc"].contains(&root)
}

/// The standard library and what `Cargo.toml` depends on, as Rust spells it.
fn dependencies() -> Vec<String> {
    let manifest = document("Cargo.toml");
    let section = manifest.split("\n[").find(|section| section.starts_with("dependencies]")).unwrap();
    let names = section.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name.replace('-', "_"));
    // The one package whose library has another name.
    names.chain(["std", "core", "alloc", "webpki"].map(str::to_owned)).collect()
}

/// The modules in the row of that rank: `| 0 words | `a`, `b` | …`.
fn modules_in_page<'a>(page: &'a str, rank: &str) -> BTreeSet<&'a str> {
    let row = page.lines().find(|line| line.starts_with(&format!("| {rank} "))).unwrap_or_default();
    row.split('|').nth(2).unwrap_or_default().split('`').skip(1).step_by(2).collect()
}

/// The modules declared below the comment of that rank.
fn modules_in_library<'a>(library: &'a str, rank: &str) -> BTreeSet<&'a str> {
    let section = library.split("\n// Rank ").find(|section| section.starts_with(&format!("{rank}, ")));
    let lines = section.unwrap_or_default().lines();
    lines.filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect()
}

fn sources() -> Vec<Source> {
    let sources = Source::all(root());
    assert!(sources.len() > 50, "the sources were not found");
    sources
}

fn document(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
