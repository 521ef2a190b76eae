// Verifies receipts and evidence bundles of Whence by WebCrypto, without any request to a server.
// These modules need no build step and no library: the console's page imports them, and so does node.

import { checkBundle } from "./bundles.js";
import { Fault, Unsupported, checkSupported, fromUtf8, utf8 } from "./bytes.js";
import { countDistinct, parseKeys } from "./notes.js";
import { checkReceipt } from "./receipts.js";

const FILE_BYTES_MAX = 64 * 1024 * 1024;
const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** Tell the chosen files apart by their contents: a bundle, a receipt, the API's answer with a receipt, an entry. */
function sorted(chosen) {
  const files = {};
  const put = (kind, bytes) => {
    if (files[kind]) throw new Fault("files-ambiguous", `Two of the files are ${kind === "entry" ? "entries" : `${kind}s`}: choose one of each.`);
    files[kind] = bytes;
  };
  for (const bytes of chosen) {
    if (bytes.length > FILE_BYTES_MAX) throw new Fault("file-too-large", "The file is larger than 64 MiB: use whence verify.");
    let start = "";
    for (const byte of bytes.slice(0, 64)) start += String.fromCharCode(byte);
    if (start.startsWith("c2sp.org/tlog-proof")) put("receipt", bytes);
    else if (start.startsWith('{"type":"urn:whence:bundle:')) put("bundle", bytes);
    else put(...answerOrEntry(bytes, files));
  }
  if (!files.bundle && !files.receipt) {
    throw new Fault("receipt-missing", "None of the files is a receipt or a bundle: choose a .tlog-proof file, or a bundle.");
  }
  return files;
}

function answerOrEntry(bytes, files) {
  let value = null;
  try { value = JSON.parse(fromUtf8(bytes)); } catch { /* an entry is compared byte for byte, whatever it is */ }
  if (typeof value?.receipt !== "string" || !DIGEST.test(value.digest)) return ["entry", bytes];
  files.digest = value.digest;
  return ["receipt", utf8(value.receipt)];
}

/**
 * Verify chosen files (Uint8Arrays): a bundle, or a receipt with its entry. `keys` are the lines of trusted keys.
 * Returns a verdict, pass, fail or unknown, with a title, what was proved and what was not, and the fault if there is one.
 */
export async function verify(chosen, { keys, witnessesLeast = 0 }) {
  try {
    checkSupported();
    const trusted = await parseKeys(keys);
    if (witnessesLeast > countDistinct(trusted.witnesses)) {
      throw new Fault("witness-key", `${witnessesLeast} witnesses are required, but keys of only ${countDistinct(trusted.witnesses)} are trusted.`);
    }
    const files = sorted(chosen), check = files.bundle ? checkBundle : checkReceipt;
    return { fault: null, ...(await check(files, trusted, witnessesLeast)) };
  } catch (error) {
    if (error instanceof Unsupported) {
      return { verdict: "unknown", title: "This browser cannot verify", fault: null, proved: [], unproved: [error.message] };
    }
    const fault = error instanceof Fault ? error : new Fault("file-unreadable", "The file cannot be read as a receipt or bundle.");
    return {
      verdict: "fail", title: "This is not proved: a fault was found", fault: { code: fault.code, message: fault.message },
      proved: [], unproved: ["Anything: with this fault, nothing in the file counts."],
    };
  }
}
