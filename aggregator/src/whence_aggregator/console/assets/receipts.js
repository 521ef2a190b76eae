// Receipts: C2SP tlog-proof files, which prove that an entry is in a log. As whence_common.receipt.

import { Fault, fromBase64, fromHash, fromUtf8, sha256Digest } from "./bytes.js";
import { PROOF_HASHES_MAX, checkInclusion, leafHash } from "./merkle.js";
import { checkNote } from "./notes.js";

const RECEIPT_BYTES_MAX = 72 * 1024;
const RECEIPT_HEADER = "c2sp.org/tlog-proof@v1";

function parseReceipt(bytes) {
  const malformed = (message) => new Fault("receipt-malformed", `The receipt is malformed: ${message}.`);
  if (bytes.length > RECEIPT_BYTES_MAX) throw malformed(`it is larger than ${RECEIPT_BYTES_MAX} bytes`);
  const blank = bytes.findIndex((byte, n) => byte === 10 && bytes[n + 1] === 10);
  if (blank < 0) throw malformed("no blank line separates proof and checkpoint");
  let head = "";
  try { head = fromUtf8(bytes.slice(0, blank)); } catch { throw malformed("its head is not text"); }
  const lines = head.split("\n");
  if (lines.shift() !== RECEIPT_HEADER) throw malformed(`its first line is not ${RECEIPT_HEADER}`);
  if (lines[0]?.startsWith("extra ")) fromBase64(lines.shift().slice(6), malformed("its line `extra` is not base64"));
  const index = /^index (0|[1-9][0-9]{0,18})$/.exec(lines.shift() ?? "");
  if (!index) throw malformed("it has no line `index N`");
  const proof = lines.map((line) => fromHash(line, malformed("a line of its proof is not a SHA-256 hash in base64")));
  if (proof.length > PROOF_HASHES_MAX) throw malformed(`its proof has more than ${PROOF_HASHES_MAX} hashes`);
  return { index: BigInt(index[1]), proof, note: bytes.slice(blank + 2) };
}

export function signedBy({ checkpoint, witnesses, key }) {
  const proved = [`The checkpoint of ${checkpoint.origin} over ${checkpoint.size} entries is signed by the trusted key ${key.name}+${key.id}.`];
  for (const one of witnesses) proved.push(`The witness ${one.name} cosigned this checkpoint.`);
  const unproved = ["That the key is the log's own: compare it with the key that you received over a separate channel.",
    "That the log has no other history for others: " + (witnesses.length
      ? "witnesses make that visible, as far as they are independent."
      : "no trusted witness cosigned this checkpoint.")];
  return { proved, unproved };
}

export async function checkReceipt(files, keys, witnessesLeast) {
  const receipt = parseReceipt(files.receipt), note = await checkNote(receipt.note, keys, witnessesLeast);
  const { proved, unproved } = signedBy(note), { checkpoint } = note;
  if (receipt.index >= checkpoint.size) await checkInclusion(new Uint8Array(32), receipt.index, checkpoint, []);
  if (!files.entry) {
    unproved.unshift(`That an entry is number ${receipt.index} of the log: choose the entry's file together with its receipt.`);
    return { verdict: "unknown", title: "The checkpoint is signed, but no entry was compared with it", proved, unproved };
  }
  const digest = await sha256Digest(files.entry);
  if (files.digest && files.digest !== digest) {
    throw new Fault("digest-differs", `The entry's bytes have the digest ${digest}, but the receipt is of ${files.digest}: they were changed.`);
  }
  await checkInclusion(await leafHash(files.entry), receipt.index, checkpoint, receipt.proof);
  proved.push(`The entry with the digest ${digest} is number ${receipt.index} of this log, byte for byte.`);
  unproved.push("That what the entry states is true: it is proved that it was recorded, and not changed since.");
  return { verdict: "pass", title: `Entry ${receipt.index} is in the log of ${checkpoint.origin}, unchanged`, proved, unproved };
}
