// Verifies a Sigstore bundle with a public key, by Sigstore's own library: verify_bundle.js BUNDLE KEY.PEM. Prints the payload.
"use strict";
const crypto = require("crypto");
const fs = require("fs");
const path = require("path");
const modules = path.join(__dirname, "..", "..", ".venv-clients", "node_modules", "@sigstore");
const { bundleFromJSON } = require(path.join(modules, "bundle"));
const { Verifier, toSignedEntity } = require(path.join(modules, "verify"));

const [bundleFile, keyFile] = process.argv.slice(2);
const bundle = bundleFromJSON(JSON.parse(fs.readFileSync(bundleFile, "utf8")));
const key = crypto.createPublicKey(fs.readFileSync(keyFile));
const der = key.export({ format: "der", type: "spki" });
const hint = crypto.createHash("sha256").update(der).digest("base64");
const select = (asked) => {
  if (asked !== hint) throw new Error(`the bundle names another key: ${asked}`);
  return { publicKey: key, validFor: () => true };
};
const none = { certificateAuthorities: [], timestampAuthorities: [], tlogs: [], ctlogs: [] };
const trusted = { ...none, publicKey: select };
new Verifier(trusted, { tlogThreshold: 0, ctlogThreshold: 0 }).verify(toSignedEntity(bundle));
process.stdout.write(bundle.content.dsseEnvelope.payload);
