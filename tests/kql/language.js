// Microsoft's parser and binder of KQL (`@kusto/language-service-next`), told what a Log Analytics workspace has: the tables
// of infra/tables, some of Azure's own (azure.js), the columns that every table there has, watchlists, and functions that are
// given.
//
// The library is C# that was translated to JavaScript. Its constructors are told apart by number, such as `$ctor4`; only
// this file knows them.
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const { AZURE_TABLES } = require("./azure");
require("@kusto/language-service-next/bridge.min.js");
require("@kusto/language-service-next/Kusto.Language.Bridge.min.js");
const { Bridge, Kusto } = globalThis;
const { GlobalState, KustoCode, Symbols, Syntax } = Kusto.Language;

const TABLES = path.join(__dirname, "../../infra/tables");

// https://learn.microsoft.com/azure/azure-monitor/logs/log-standard-columns
const STANDARD_COLUMNS = [
    { name: "TenantId", type: "string" },
    { name: "Type", type: "string" },
    { name: "_BilledSize", type: "real" },
    { name: "_IsBillable", type: "string" },
    { name: "_ItemId", type: "string" },
    { name: "_ResourceId", type: "string" },
    { name: "_SubscriptionId", type: "string" },
    { name: "_TimeReceived", type: "datetime" },
];

// https://learn.microsoft.com/azure/sentinel/watchlists-queries; further columns are those of the watchlist.
const WATCHLIST_COLUMNS = [
    { name: "_DTItemId", type: "string" },
    { name: "LastUpdatedTimeUTC", type: "datetime" },
    { name: "SearchKey", type: "string" },
    { name: "WatchlistItem", type: "dynamic" },
];

const KIND_NAMES = Object.fromEntries(Object.entries(Syntax.SyntaxKind).map(([name, kind]) => [kind, name]));

/** The symbols that a query may use: our tables, some of Azure's, watchlists, and the functions `{ defines, parameters, text }`. */
function workspace(functions) {
    const members = fs.readdirSync(TABLES).filter((name) => name.endsWith(".json")).map(readTable);
    members.push(...AZURE_TABLES.map(azureTable));
    members.push(tableFunction("_GetWatchlist", "(watchlistAlias:string)", WATCHLIST_COLUMNS));
    for (const { defines, parameters, text } of functions) {
        members.push(functionOf(defines, parameters, `{ ${text} }`));
    }
    return GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.ctor("workspace", members));
}

function readTable(file) {
    const { name, columns } = JSON.parse(fs.readFileSync(path.join(TABLES, file), "utf8"));
    return table(name, columns.concat(STANDARD_COLUMNS));
}

function azureTable({ name, columns }) {
    const typed = Object.entries(columns).map(([column, type]) => ({ name: column, type }));
    return table(name, typed.concat(STANDARD_COLUMNS));
}

function table(name, columns) {
    // Symbols rather than a schema as text: a column may be called like a keyword, such as `from`.
    const symbols = columns.map(
        (column) => new Symbols.ColumnSymbol(column.name, Symbols.ScalarTypes.GetSymbol(column.type), null, null, null, null),
    );
    return new Symbols.TableSymbol.$ctor4(name, symbols);
}

/** A function with KQL for its parameters and its body. */
function functionOf(name, parameters, body) {
    return new Symbols.FunctionSymbol.$ctor16(name, parameters, body, null);
}

/** A function that returns the columns and any other that a query names. */
function tableFunction(name, parameters, columns) {
    return new Symbols.FunctionSymbol.$ctor6(name, table(null, columns).WithIsOpen(true), parsed(parameters), null);
}

/** What the parameters of a function are inside of it. */
function parameterSymbols(parameters) {
    const symbol = ({ Name, DeclaredTypes }) => new Symbols.ParameterSymbol(Name, list(DeclaredTypes)[0], null);
    return list(parsed(parameters)).map(symbol);
}

/** The parameters that KQL such as `(least: real = 0.0)` declares. */
function parsed(parameters) {
    const [signature] = list(functionOf("f", parameters, "{ print 1 }").Signatures);
    return signature.Parameters;
}

/** A query as the binder understands it: its errors, the columns it returns, and its parts for further rules. */
function analyse({ text, parameters }, globals) {
    const code = KustoCode.ParseAndAnalyze(text, globals.WithParameters(parameterSymbols(parameters)));
    const result = code.ResultType;
    return {
        isQuery: code.Kind === "Query",
        errors: list(code.GetDiagnostics())
            .filter((found) => found.Severity === "Error")
            .map((found) => ({ code: found.Code, start: found.Start, message: found.Message })),
        columns: result?.Columns && list(result.Columns).map((column) => ({ name: column.Name, type: column.Type.Name })),
        isOpen: Boolean(result?.IsOpen),
        nodes: [...nodesBelow(code.Syntax)],
    };
}

/** Every part of a query that is not a single word, as `{ kind, start, name, types }`. */
function* nodesBelow(node) {
    if (node.IsToken) {
        return;
    }
    const operands = node.Left && node.Right ? [node.Left, node.Right] : [];
    yield {
        kind: KIND_NAMES[node.Kind],
        start: node.TextStart,
        name: node.Name?.SimpleName,
        types: operands.map((operand) => operand.ResultType?.Name),
    };
    for (let at = 0; at < node.ChildCount; at += 1) {
        const child = node.GetChild(at);
        if (child) {
            yield* nodesBelow(child);
        }
    }
}

function list(of) {
    return Bridge.toArray(of);
}

module.exports = { analyse, workspace };
