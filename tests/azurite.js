// Azurite's blob service on a free port of the loopback address, in memory, until standard input is closed.
//
// Whoever starts it holds the other end of standard input, so it ends with its starter however that ends, by SIGKILL too.
// It says where it listens on standard output, in Azurite's own words.
process.stdin.resume().on("end", () => process.exit(0)).on("error", () => process.exit(0));
// The client asks for a newer version of the API than the last Azurite for Node 20 knows.
process.argv.push("--inMemoryPersistence", "--silent", "--disableTelemetry", "--skipApiVersionCheck", "--blobPort", "0");
require("azurite/dist/src/blob/main.js");
