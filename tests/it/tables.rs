//! `docs/tables.md` is made from `infra/tables/*.json`, the one place where columns are defined.

use serde::Deserialize;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const PAGE: &str = "docs/tables.md";
const HEAD: &str = "\
<!-- Made from infra/tables/*.json. To make it again: UPDATE_DOCS=1 cargo test --test it docs_tables -->
# Tables

What the connector writes, column by column. *Darktrace* marks the columns of Darktrace's own table, which its published
rules and workbook read; *connector* marks those that this connector adds. A column for which the appliance gave nothing is
empty.
";

#[derive(Deserialize)]
struct Table {
    name: String,
    description: String,
    columns: Vec<Column>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    description: String,
    #[serde(default)]
    origin: String,
}

#[test]
fn docs_tables_are_what_the_schemas_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tables = tables(&root.join("infra/tables"));
    assert!(tables.len() >= 2, "infra/tables was not found");
    let page = page(&tables);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(root.join(PAGE), &page).unwrap();
    }
    let stored = fs::read_to_string(root.join(PAGE)).unwrap_or_default();
    assert!(
        stored == page,
        "{PAGE} is not what infra/tables says; make it again with: UPDATE_DOCS=1 cargo test --test it docs_tables"
    );
}

#[test]
fn a_description_cannot_break_the_table_it_stands_in() {
    let column = Column { name: "c".into(), kind: "int".into(), description: "a | b\nc".into(), origin: "ours".into() };
    assert_eq!(row(&column), "| `c` | int | connector | a \\| b c |\n");
}

/// Every table of the folder, by name.
fn tables(folder: &Path) -> Vec<Table> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: &Path| {
        let table: Table = serde_json::from_slice(&fs::read(path).unwrap())
            .unwrap_or_else(|error| panic!("{} is not the schema of a table: {error}", path.display()));
        assert_eq!(path.file_stem().unwrap(), table.name.as_str(), "a schema is named after its table");
        table
    };
    let files = paths.filter(|path| path.extension().is_some_and(|end| end == "json"));
    let mut tables: Vec<Table> = files.map(|path| read(&path)).collect();
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    tables
}

fn page(tables: &[Table]) -> String {
    let mut page = HEAD.to_owned();
    for table in tables {
        let Table { name, description, columns } = table;
        write!(page, "\n## {name}\n\n{}\n\n", in_one_line(description)).unwrap();
        page.push_str("| column | type | from | meaning |\n|---|---|---|---|\n");
        page.extend(columns.iter().map(row));
    }
    page
}

fn row(column: &Column) -> String {
    let from = match column.origin.as_str() {
        "vendor" => "Darktrace",
        "ours" => "connector",
        other => other,
    };
    format!("| `{}` | {} | {from} | {} |\n", column.name, column.kind, in_one_line(&column.description))
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
