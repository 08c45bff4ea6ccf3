//! The stored rows as files, and a few of them in words.

use super::account::{Account, Polls, count};
use super::place::short;
use super::world::{ALERTS, HEALTH, World, stream};
use super::{DemoError, Verdict, say, while_doing};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;

/// So many rows are shown of each kind.
const SHOWN: usize = 3;

/// Writes the rows, and tells the account, the files and some rows.
pub(super) fn conclude(world: &World, polls: Polls) -> Result<Verdict, DemoError> {
    let rows = world.ingestion.rows(&stream(ALERTS));
    let account = Account::of(&world.appliance.issued(), &rows, &world.ingestion.violations(), polls);
    say("\nThe account\n");
    account.tell();
    keep(world, &rows)?;
    let verdict = account.verdict();
    if verdict == Verdict::Unsound {
        say(
            "\nThe account does not come out even, which is a fault of this program: please report it with the lines above.",
        );
    }
    Ok(verdict)
}

/// Writes the rows, and tells the files and some rows.
pub(super) fn keep(world: &World, rows: &[Value]) -> Result<(), DemoError> {
    say("\nThe rows, as the tables would have them\n");
    write(world, ALERTS, rows)?;
    write(world, HEALTH, &world.ingestion.rows(&stream(HEALTH)))?;
    let examples = examples(rows);
    if !examples.is_empty() {
        say("\nSome of them\n");
    }
    for row in examples {
        say(format_args!("  {}", words(row)));
    }
    Ok(())
}

fn write(world: &World, table: &str, rows: &[Value]) -> Result<(), DemoError> {
    let path = world.place.rows_of(table);
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    fs::write(&path, text).map_err(while_doing(format!("{} cannot be written", path.display())))?;
    say(format_args!("  {:<13} {}", count(rows.len(), "row"), short(&path)));
    Ok(())
}

/// The highest scores of each kind, of different models.
fn examples(rows: &[Value]) -> Vec<&Value> {
    let mut rows: Vec<&Value> = rows.iter().collect();
    rows.sort_by(|a, b| score(b).total_cmp(&score(a)));
    let of_kind = |product: &str| {
        let mut seen = BTreeSet::new();
        let rows = rows.iter().copied().filter(|row| text(row, "dtProduct_s") == product);
        rows.filter(|row| seen.insert(name(row))).take(SHOWN).collect::<Vec<_>>()
    };
    let mut kinds: Vec<&str> = rows.iter().map(|row| text(row, "dtProduct_s")).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds.into_iter().rev().flat_map(of_kind).collect()
}

/// When, how bad, what, and who: what an analyst looks at first.
fn words(row: &Value) -> String {
    let who = ["sourceHost_s", "hostname_s", "bestDeviceName_s", "SourceIP"];
    let who = who.iter().map(|column| text(row, column)).find(|text| !text.is_empty());
    let to = ["destHost_s", "destIP_s"].iter().map(|column| text(row, column)).find(|text| !text.is_empty());
    let mut words = format!("{:.19}  score {:>3}  {}", text(row, "EventTime").replace('T', " "), score(row), name(row));
    for (joint, part) in [(": ", who), (" to ", to)] {
        if let Some(part) = part {
            words.push_str(joint);
            words.push_str(part);
        }
    }
    words
}

fn name(row: &Value) -> &str {
    let name = text(row, "modelName_s");
    if name.is_empty() { text(row, "title_s") } else { name }
}

fn score(row: &Value) -> f64 {
    row["score_d"].as_f64().or_else(|| row["groupScore_d"].as_f64()).unwrap_or(0.0).round()
}

fn text<'a>(row: &'a Value, column: &str) -> &'a str {
    row[column].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_is_told_by_when_how_bad_what_and_who() {
        let alert = json!({"EventTime": "2026-01-02T03:04:05.678Z", "score_d": 87.0, "modelName_s": "Device::Odd",
            "sourceHost_s": "lt-1.example", "SourceIP": "10.0.0.1", "destIP_s": "203.0.113.9"});
        assert_eq!(words(&alert), "2026-01-02 03:04:05  score  87  Device::Odd: lt-1.example to 203.0.113.9");
        let event = json!({"EventTime": "2026-01-02T03:04:05.678Z", "groupScore_d": 40.6, "title_s": "Hijack"});
        assert_eq!(words(&event), "2026-01-02 03:04:05  score  41  Hijack");
    }

    #[test]
    fn examples_are_the_highest_scores_of_different_models_and_of_both_kinds() {
        let alert =
            |model: &str, score: f64| json!({"dtProduct_s": "Policy Breach", "modelName_s": model, "score_d": score});
        let event = json!({"dtProduct_s": "AI Analyst", "title_s": "T"});
        let rows =
            [event.clone(), alert("a", 10.0), alert("b", 30.0), alert("b", 20.0), alert("c", 5.0), alert("d", 1.0)];
        let names: Vec<&str> = examples(&rows).into_iter().map(name).collect();
        assert_eq!(names, ["b", "a", "c", "T"]);
    }
}
