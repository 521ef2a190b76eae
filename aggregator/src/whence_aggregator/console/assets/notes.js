// Trusted keys, signed notes and checkpoints: C2SP signed-note, tlog-checkpoint and tlog-cosignature with Ed25519.
// As whence_common.note and whence_common.log_policy.

import { Fault, concat, ed25519Holds, fromBase64, fromHash, fromUtf8, hex, sha256, utf8 } from "./bytes.js";

const NOTE_BYTES_MAX = 64 * 1024, SIGNATURES_MAX = 64;
const LOG = 0x01, WITNESS = 0x04;
const NAME = /^[^\s+]{1,200}$/u, SIZE = /^(0|[1-9][0-9]{0,18})$/;

export async function parseKey(line) {
  const [, name = "", id = "", encoded = ""] = /^([^+]*)\+([^+]*)\+(.*)$/.exec(line) ?? [];
  const wrong = new Fault("key-malformed", `This is not a verifier key, NAME+1a2b3c4d+BASE64: ${line.slice(0, 120)}`);
  const content = fromBase64(encoded, wrong);
  if (!NAME.test(name) || content.length !== 33 || ![LOG, WITNESS].includes(content[0])) throw wrong;
  const own = hex((await sha256(concat(utf8(`${name}\n`), content))).slice(0, 4));
  if (own !== id) throw new Fault("key-malformed", `The id of the key of ${name} must be ${own}: copy the whole key again.`);
  return { name, id, type: content[0], bytes: content.slice(1), line, raw: hex(content.slice(1)) };
}

/** Parse the trusted keys, one a line: of logs, of witnesses, and revoked ones. # begins a comment. */
export async function parseKeys(lines) {
  const keys = { logs: [], witnesses: [], revoked: [] };
  for (const line of lines.split("\n").map((one) => one.trim()).filter((one) => one && !one.startsWith("#"))) {
    const revoked = /^revoked (\S+) from (0|[1-9][0-9]{0,18}) (stolen|lost)$/.exec(line);
    const key = await parseKey(revoked ? revoked[1] : line);
    if (revoked) keys.revoked.push({ key, from: BigInt(revoked[2]), stolen: revoked[3] === "stolen" });
    else (key.type === LOG ? keys.logs : keys.witnesses).push(key);
  }
  if (!keys.logs.length) throw new Fault("key-missing", "No log key is trusted: paste at least one, NAME+1a2b3c4d+BASE64.");
  const own = [...keys.logs, ...keys.revoked.map((one) => one.key)];
  for (const one of keys.witnesses) {
    if (own.some((key) => key.raw === one.raw || key.name === one.name)) {
      throw new Fault("witness-key", `The witness key ${one.name} has the log's own key or name: a log cannot witness itself.`);
    }
  }
  return keys;
}

/** Count witnesses: keys of one name, or one key under several names, count once. */
export function countDistinct(keys) {
  let groups = [];
  for (const key of keys) {
    const same = groups.filter((group) => group.some((one) => one.name === key.name || one.raw === key.raw));
    groups = [...groups.filter((group) => !same.includes(group)), [...same.flat(), key]];
  }
  return groups.length;
}

function parseNote(bytes) {
  const malformed = (message) => new Fault("note-malformed", `The checkpoint is malformed: ${message}.`);
  if (bytes.length > NOTE_BYTES_MAX) throw malformed(`it is larger than ${NOTE_BYTES_MAX} bytes`);
  let whole;
  try { whole = fromUtf8(bytes); } catch { throw malformed("it is not UTF-8"); }
  if (/[\x00-\x09\x0b-\x1f\x7f]/.test(whole)) throw malformed("it contains control characters");
  const blank = whole.lastIndexOf("\n\n");
  if (blank < 0 || blank + 2 === whole.length || !whole.endsWith("\n")) throw malformed("it has no signature lines");
  const lines = whole.slice(blank + 2, -1).split("\n");
  if (lines.length > SIGNATURES_MAX) throw malformed(`it has more than ${SIGNATURES_MAX} signatures`);
  const signatures = lines.map((line) => {
    const [dash, name, encoded, ...rest] = line.split(" ");
    if (dash !== "—" || rest.length || encoded === undefined || !NAME.test(name)) throw malformed("a signature line is malformed");
    const content = fromBase64(encoded, malformed(`the signature of ${name} is not base64`));
    if (content.length < 5) throw malformed(`the signature of ${name} is too short`);
    return { name, id: hex(content.slice(0, 4)), content: content.slice(4) };
  });
  return { text: whole.slice(0, blank + 1), signatures };
}

function parseCheckpoint(note) {
  const lines = note.text.split("\n");
  const wrong = new Fault("checkpoint-malformed", "The signed text is not a checkpoint: origin, size, root.");
  if (lines.length < 4 || lines.at(-1) !== "" || lines.slice(0, -1).includes("") || !SIZE.test(lines[1])) throw wrong;
  return { origin: lines[0], size: BigInt(lines[1]), root: fromHash(lines[2], wrong) };
}

async function signatureHolds(key, signature, note) {
  if (key.type === LOG) return ed25519Holds(key.bytes, signature, utf8(note));
  if (signature.length !== 72) return false;
  const seconds = new DataView(signature.buffer, signature.byteOffset).getBigUint64(0);
  const content = utf8(`cosignature/v1\ntime ${seconds}\n${note}`);
  return ed25519Holds(key.bytes, signature.slice(8), content);
}

/** Return the checkpoint, the log's key and the witnesses that signed it; a trusted key's bad signature is a fault. */
export async function checkNote(bytes, keys, witnessesLeast) {
  const note = parseNote(bytes), seen = new Set();
  const known = [...keys.logs, ...keys.revoked.map((one) => one.key), ...keys.witnesses];
  for (const one of note.signatures) {
    const key = known.find((each) => each.name === one.name && each.id === one.id);
    if (!key) continue;
    if (!(await signatureHolds(key, one.content, note.text))) {
      const whose = key.type === LOG ? "signature of the log" : "cosignature of the witness";
      throw new Fault("note-signature", `The ${whose} ${one.name} does not hold: the checkpoint or the signature was changed.`);
    }
    seen.add(key);
  }
  const checkpoint = parseCheckpoint(note), witnesses = keys.witnesses.filter((key) => seen.has(key));
  const own = known.filter((key) => seen.has(key) && key.type === LOG && key.name === checkpoint.origin);
  if (!own.length) {
    const by = note.signatures.map((one) => `${one.name}+${one.id}`).join(", ");
    throw new Fault("checkpoint-unsigned", `No trusted key of ${checkpoint.origin} signed the checkpoint; it is signed by ${by}.`);
  }
  checkRevoked(own, keys, checkpoint, witnesses);
  const cosigned = countDistinct(witnesses);
  if (cosigned < witnessesLeast) {
    throw new Fault("checkpoint-unwitnessed", `${cosigned} trusted witnesses cosigned the checkpoint; ${witnessesLeast} are required.`);
  }
  return { checkpoint, witnesses, key: own[0] };
}

function checkRevoked(own, keys, checkpoint, witnesses) {
  const revoked = own.map((key) => keys.revoked.find((one) => one.key.line === key.line));
  if (revoked.some((one) => !one)) return;
  if (revoked.some((one) => checkpoint.size < one.from && (witnesses.length || !one.stolen))) return;
  const [one] = revoked;
  throw new Fault("checkpoint-revoked", `The checkpoint of size ${checkpoint.size} is signed by a key that was ` +
    `${one.stolen ? "stolen" : "lost"} and is revoked from size ${one.from} on. Fetch the file again.`);
}
