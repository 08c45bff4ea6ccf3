// What the checker accepts and what it refuses, and where it says that the mistake is. Run with: node --test tests/kql
"use strict";
const assert = require("node:assert/strict");
const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { after, test } = require("node:test");
const { main } = require("./check");

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "kql-check-"));
after(() => fs.rmSync(folder, { recursive: true }));

/** Checks files of these names and contents in one run, and gives the exit code and what was printed. */
function check(files, ...options) {
    const paths = Object.entries(files).map(([name, text]) => {
        const file = path.join(folder, name);
        fs.writeFileSync(file, text);
        return file;
    });
    const lines = [];
    const status = main([...options, ...paths], (line) => lines.push(line));
    return { status, out: lines.join("\n").replaceAll(folder + path.sep, "") };
}

const ALERTS = "darktrace_model_alerts_CL";

const ACCEPTED = {
    "names of keywords": "DarktraceEMAIL_CL | where ['from'] == 'a@example.com' | summarize count() by timestamp",
    "columns that every table has": `${ALERTS} | where _ResourceId has "x" | project TenantId, Type`,
    "what is inside dynamic columns": `${ALERTS} | where tostring(AdditionalFields.device.tags[0]) == "x"`,
    "a list taken apart": `${ALERTS} | mv-expand Tactic = AttackTactics to typeof(string) | summarize count() by Tactic`,
    "joins of two of the tables": `${ALERTS} | join kind=leftanti DarktraceConnectorHealth_CL on Instance`,
    "functions of the query": `let high = (score: real) { score > 80 }; ${ALERTS} | where high(score_d)`,
    "watchlists with columns of their own": `_GetWatchlist("hosts") | project SearchKey, Owner`,
    "windows over sorted rows": `${ALERTS} | sort by IngestSeq asc | extend Gap = IngestSeq - prev(IngestSeq)`,
    "tables of Azure": "AppRequests | where Success == false | join kind=inner AppTraces on OperationId | project Message",
    "a number in place of another": `${ALERTS} | where score_d > 1 and CommentCount == 2.0`,
};

for (const [what, query] of Object.entries(ACCEPTED)) {
    test(`it accepts ${what}`, () => {
        const { status, out } = check({ "query.kql": query });
        assert.equal(status, 0, out);
    });
}

const REFUSED = {
    "a table that is not there": ["darktrace_model_alert_CL | take 1", "1:1: KS204"],
    "a column that is not there": [`${ALERTS}\n| where modelNane_s == "x"`, "2:9: KS142"],
    "a column that a table of Azure does not have": ["DCRLogErrors | where Stream == 'x'", "1:22: KS142"],
    "a column of another table": [`${ALERTS} | project alertTime`, "1:37: KS142"],
    "a column that was summarized away": [`${ALERTS} | summarize count() by modelName_s | where score_d > 1`, "KS142"],
    "a column that was renamed": [`${ALERTS} | project-rename Host = hostname_s | where hostname_s == "x"`, "KS142"],
    "a column under table()": [`table("${ALERTS}") | where nope == 1`, "KS142"],
    "a function that is not there": [`${ALERTS} | extend a = tolongg(score_d)`, "KS211"],
    "too many arguments": ["let f = (x: long) { x + 1 }; print f(1, 2)", "KS119"],
    "a join on a column of one side": [`${ALERTS} | join DarktraceEMAIL_CL on uuid`, "KS145"],
    "a word that is out of place": [`${ALERTS} | summarize by bin(TimeGenerated 5m)`, "KS005"],
    "a number compared with a text": [`${ALERTS} | where score_d == "high"`, "1:35: COMPARISON"],
    "a text compared with a time": [`${ALERTS} | where breachTime_s > ago(1h)`, "COMPARISON"],
    "a text taken apart as a list": [`${ALERTS} | mv-expand modelName_s`, "KS141"],
    "a management command": [".show tables", "NO-QUERY"],
    "what only clusters have": [`${ALERTS} | evaluate http_request("https://example.com")`, "NOT-IN-WORKSPACE"],
};

for (const [what, [query, expected]] of Object.entries(REFUSED)) {
    test(`it refuses ${what}`, () => {
        const { status, out } = check({ "query.kql": query });
        assert.equal(status, 1, out);
        assert.ok(out.includes(expected), out);
    });
}

const RULE = `name: x
query: |
  darktrace_model_alerts_CL
  | project TimeGenerated, Host = hostname_s, score_d
entityMappings:
  - entityType: Host
    fieldMappings:
      - identifier: HostName
        columnName: Host
customDetails:
  Score: score_d
alertDetailsOverride:
  alertDisplayNameFormat: "{{ Host }} has {{score_d}}"
  alertDynamicProperties:
    - alertProperty: AlertLink
      value: Host
`;

test("a rule is accepted when its query returns what it uses", () => {
    const { status, out } = check({ "rule.yaml": RULE });
    assert.equal(status, 0, out);
});

for (const [use, from, to] of [
    ["Host.HostName", "columnName: Host", "columnName: Hostname"],
    ["custom detail Score", "Score: score_d", "Score: score"],
    ["alertDisplayNameFormat", "{{score_d}}", "{{score}}"],
    ["AlertLink", "value: Host", "value: Link"],
]) {
    test(`a rule is refused when its query does not return what ${use} uses`, () => {
        const { status, out } = check({ "rule.yaml": RULE.replace(from, to) });
        assert.equal(status, 1, out);
        assert.ok(out.includes("NOT-RETURNED") && out.includes(use), out);
    });
}

test("a mistake is shown at its line of the file", () => {
    const { out } = check({ "rule.yaml": RULE.replace("score_d\n", "score\n") });
    assert.ok(out.includes("rule.yaml:4:45: KS142"), out);
    const page = check({ "page.md": "# Page\n\n```kusto\nNoTable\n```\n" });
    assert.ok(page.out.includes("page.md:4:1: KS142"), page.out);
});

test("a parser is a function for the files beside it", () => {
    const parser = `FunctionAlias: Alerts
FunctionParams:
  - Name: least
    Type: real
    Default: 0
FunctionQuery: |
  darktrace_model_alerts_CL | where score_d >= least | project Model = modelName_s
`;
    const accepted = check({ "parser.yaml": parser, "query.kql": "Alerts(least=5) | where Model has 'x'" });
    assert.equal(accepted.status, 0, accepted.out);
    const refused = check({ "parser.yaml": parser, "query.kql": "Alerts | where modelName_s has 'x'" });
    assert.ok(refused.out.includes("query.kql:1:16: KS142"), refused.out);
});

test("the queries of a workbook are checked with its parameters replaced", () => {
    const workbook = (query) =>
        JSON.stringify({
            items: [
                { type: 9, content: { parameters: [{ name: "Range", type: 4 }, { name: "Model", type: 2 }] } },
                { type: 3, content: { query, queryType: 0 } },
                { type: 3, content: { query: "resources of a graph", queryType: 1 } },
            ],
        });
    const where = `${ALERTS} | where TimeGenerated {Range} and modelName_s == "{Model}"`;
    const accepted = check({ "book.json": workbook(`${where} | summarize count() by bin(TimeGenerated, {Range:grain})`) });
    assert.equal(accepted.status, 0, accepted.out);
    const refused = check({ "book.json": workbook(`${where} and nope == 1`) });
    assert.ok(refused.out.includes("KS142") && refused.out.includes("$.items.1.content"), refused.out);
    const template = JSON.stringify({ properties: { serializedData: workbook("NoTable") } });
    assert.equal(check({ "template.json": template }).status, 1);
});

test("the columns of a result are printed on request", () => {
    const { out } = check({ "query.kql": `${ALERTS} | project Score = score_d, EventTime` }, "--columns");
    assert.ok(out.includes("query.kql returns Score: real, EventTime: datetime"), out);
});

test("files without a query and options that are not there end with 2", () => {
    assert.equal(check({ "page.md": "nothing" }).status, 2);
    assert.equal(check({ "rule.yaml": "name: x" }).status, 2);
    assert.equal(check({ "torn.json": "{" }).status, 2);
    assert.equal(check({ "query.txt": ALERTS }).status, 2);
    assert.equal(check({ "query.kql": ALERTS }, "--strict").status, 2);
    assert.equal(check({}).status, 2);
});

test("the exit code is that of the check", () => {
    const status = (query) => {
        const file = path.join(folder, "query.kql");
        fs.writeFileSync(file, query);
        return spawnSync(process.execPath, [path.join(__dirname, "check.js"), file]).status;
    };
    assert.equal(status(ALERTS), 0);
    assert.equal(status("NoTable"), 1);
});
