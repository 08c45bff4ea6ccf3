// Tables of Azure's own that the pages for operators ask, with the columns that their queries use and a few beside them. Each
// page is the source of its columns: the schema is Microsoft's, and what is not here is not known to the checker.
"use strict";

const AZURE_TABLES = [
    {
        name: "AppRequests",
        page: "https://learn.microsoft.com/azure/azure-monitor/reference/tables/apprequests",
        columns: {
            TimeGenerated: "datetime",
            AppRoleName: "string",
            DurationMs: "real",
            Id: "string",
            Name: "string",
            OperationId: "string",
            OperationName: "string",
            ResultCode: "string",
            Success: "bool",
        },
    },
    {
        name: "AppTraces",
        page: "https://learn.microsoft.com/azure/azure-monitor/reference/tables/apptraces",
        columns: {
            TimeGenerated: "datetime",
            AppRoleName: "string",
            Message: "string",
            OperationId: "string",
            OperationName: "string",
            Properties: "dynamic",
            SeverityLevel: "int",
        },
    },
    {
        name: "AppExceptions",
        page: "https://learn.microsoft.com/azure/azure-monitor/reference/tables/appexceptions",
        columns: {
            TimeGenerated: "datetime",
            AppRoleName: "string",
            ExceptionType: "string",
            InnermostMessage: "string",
            OperationId: "string",
            OperationName: "string",
            OuterMessage: "string",
            OuterType: "string",
            ProblemId: "string",
        },
    },
    {
        name: "DCRLogErrors",
        page: "https://learn.microsoft.com/azure/azure-monitor/reference/tables/dcrlogerrors",
        columns: {
            TimeGenerated: "datetime",
            ClientRequestId: "string",
            CorrelationId: "string",
            InputStreamId: "string",
            Message: "string",
            OperationName: "string",
        },
    },
    {
        // A function of the workspace over the table Operation.
        name: "_LogOperation",
        page: "https://learn.microsoft.com/azure/azure-monitor/logs/monitor-workspace",
        columns: {
            TimeGenerated: "datetime",
            Category: "string",
            Detail: "string",
            Level: "string",
            Operation: "string",
        },
    },
];

module.exports = { AZURE_TABLES };
