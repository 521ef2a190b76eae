// Runs the console's verification in node: verify_in_node.mjs DIRECTORY. Standard input is a JSON list of cases,
// [{files: [base64], keys, witnessesLeast}]; standard output the list of results.
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const { verify } = await import(pathToFileURL(join(resolve(process.argv[2]), "verify.js")).href);
const results = [];
for (const one of JSON.parse(readFileSync(0, "utf8"))) {
  const files = one.files.map((file) => new Uint8Array(Buffer.from(file, "base64")));
  results.push(await verify(files, { keys: one.keys, witnessesLeast: one.witnessesLeast }));
}
process.stdout.write(JSON.stringify(results));
