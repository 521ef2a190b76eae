// Evidence bundles: all entries of a period, with what is needed to compute the root that was signed.
// As whence_common.evidence_bundle; what AWS signed is not verified here.

import { Fault, concat, ecdsaHolds, equal, fromBase64, fromHash, fromJson, fromUtf8, hex, sha256, utf8 } from "./bytes.js";
import { PROOF_HASHES_MAX, checkInclusion, leafHash, nodeHash } from "./merkle.js";
import { checkNote, parseKey } from "./notes.js";
import { signedBy } from "./receipts.js";

const LINE_CHARACTERS_MAX = 2 * 1024 * 1024;
const IN_TOTO = "application/vnd.in-toto+json";

const broken = (message, index) =>
  new Fault("bundle-invalid", index === undefined ? message : `Entry ${index}: ${message}`);

function parsed(line, number) {
  if (line.length > LINE_CHARACTERS_MAX) throw broken(`Line ${number} is too long.`);
  return fromJson(line, broken(`Line ${number} is not a JSON object.`));
}
const whole = (value) => Number.isSafeInteger(value) && value >= 0;

function parseBundle(bytes) {
  let content;
  try { content = fromUtf8(bytes); } catch { throw broken("The file is not UTF-8."); }
  const lines = content.split("\n");
  if (lines.pop() !== "") throw broken("The last line is not whole: the file was truncated. Fetch the bundle again.");
  const header = parsed(lines[0] ?? "", 1);
  if (header.type !== "urn:whence:bundle:v1" || typeof header.checkpoint !== "string" || !whole(header.first) ||
      !whole(header.past) || !Array.isArray(header.outside)) throw broken("The first line is not a bundle's header.");
  const end = parsed(lines.at(-1), lines.length);
  if (lines.length < 2 || end.type !== "urn:whence:bundle-end:v1") {
    throw broken("The end line is missing: the file was truncated. Fetch the bundle again.");
  }
  if (end.entries !== lines.length - 2) throw broken(`The end line states ${end.entries} entries, but ${lines.length - 2} are there.`);
  const entries = lines.slice(1, -1).map((line, n) => {
    const one = parsed(line, n + 2);
    const content = one.content ?? null, proof = one.proof ?? null;
    const fine = whole(one.index) && (content === null ? typeof one.leaf === "string" : typeof content === "string");
    if (!fine || (proof !== null && !Array.isArray(proof))) throw broken(`Line ${n + 2} is not an entry.`);
    return { index: one.index, content: content === null ? null : utf8(content), leaf: one.leaf, proof };
  });
  return { header, entries };
}

/** Compute the root from the period's leaves and the hashes left and right of it. */
async function rootOf(header, size, leaves) {
  const known = new Map(header.outside.map((one) =>
    [`${one?.height}/${one?.number}`, fromHash(one?.hash ?? "", broken("A hash left or right of the period is malformed."))]));
  const root = async (low, high) => {
    const count = high - low;
    if (high <= header.first || low >= header.past) {
      const height = Math.log2(count);
      if (Number.isInteger(height)) {
        const found = known.get(`${height}/${low / count}`);
        if (!found) throw broken("A hash left or right of the period is missing.");
        return found;
      }
    } else if (count === 1) {
      return leaves[low - header.first];
    }
    let split = 1;
    while (split * 2 < count) split *= 2;
    return nodeHash(await root(low, low + split), await root(low + split, high));
  };
  return root(0, size);
}

export async function checkBundle(files, keys, witnessesLeast) {
  const { header, entries } = parseBundle(files.bundle);
  const note = await checkNote(utf8(header.checkpoint), keys, witnessesLeast), { checkpoint } = note;
  const size = Number(checkpoint.size);
  if (!whole(size) || header.first > header.past || header.past > size) throw broken("The period is not within the checkpoint.");
  const leaves = [], statements = new Statements(), revoked = [];
  let hidden = 0;
  for (const one of entries) {
    const leaf = one.content ? await leafHash(one.content) : fromHash(one.leaf, broken("its hash is malformed", one.index));
    if (one.proof) {
      const proof = one.proof.map((each) => fromHash(String(each), broken("a hash of its proof is malformed", one.index)));
      if (proof.length > PROOF_HASHES_MAX) throw broken("its proof has too many hashes", one.index);
      await checkInclusion(leaf, BigInt(one.index), checkpoint, proof);
    } else {
      const place = header.first + leaves.length;
      if (one.index !== place) throw broken(`is at the place of entry ${place}: an entry was removed, added or moved.`, one.index);
      leaves.push(leaf);
    }
    if (one.content) revoked.push(...await statements.read(one));
    else hidden += 1;
  }
  if (leaves.length !== header.past - header.first) {
    throw broken(`The file has ${leaves.length} entries, but the period has ${header.past - header.first}.`);
  }
  if (size && !equal(await rootOf(header, size, leaves), checkpoint.root)) {
    throw broken("The root of the entries is not the one that was signed: an entry or a hash was changed, removed or moved.");
  }
  if (revoked.length) await checkNote(utf8(header.checkpoint), { ...keys, revoked: [...keys.revoked, ...revoked] }, witnessesLeast);
  return bundleResult(note, header, leaves.length, hidden, statements);
}

function bundleResult(note, header, count, hidden, statements) {
  const { proved, unproved } = signedBy(note);
  if (count) proved.push(`The file has all ${count} entries from ${header.first} to ${header.past - 1} of the log, unchanged and in order.`);
  if (statements.count) proved.push(`${statements.count} statements are signed by the keys that their instances enrolled.`);
  if (hidden) unproved.push(`What ${hidden} entries contain: they are of other accounts, or were pruned, and are here by their hash only.`);
  if (statements.enrolments) {
    unproved.push(`That AWS signed the identity of ${statements.enrolments} enrolled instances: whence verify checks that.`);
  }
  unproved.push(`That these are all entries from ${header.since} to ${header.until}: the header states it; whence verify shows their times.`);
  unproved.push("That what the entries state is true: it is proved that they were recorded, and not changed since.");
  const title = count ? `All ${count} entries of the file are in the log of ${note.checkpoint.origin}, unchanged`
    : "The file has no entry of its period";
  return { verdict: count ? "pass" : "unknown", title, proved, unproved };
}

function entryOf(index, content) {
  const wrong = broken("is not a JSON object.", index);
  let decoded;
  try { decoded = fromUtf8(content); } catch { throw wrong; }
  return fromJson(decoded, wrong);
}

/** Verifies the statements of a bundle by the keys of the enrolments before them. */
class Statements {
  constructor() { this.count = 0; this.enrolments = 0; this.keys = new Map(); }

  /** Read an entry; return the revoked keys that it names. */
  async read({ index, content }) {
    const entry = entryOf(index, content);
    if ("payloadType" in entry) { await this.statement(index, entry); return []; }
    if (String(entry.type).startsWith("urn:whence:enrolment:")) await this.enrolment(index, entry);
    if (!String(entry.type).startsWith("urn:whence:log-key:")) return [];
    return Promise.all((entry.revoked ?? []).map(async (one) =>
      ({ key: await parseKey(String(one.key)), from: BigInt(one.from_size), stolen: one.stolen !== false })));
  }

  async enrolment(index, entry) {
    const key = fromBase64(String(entry.public_key), broken("the enrolled key is malformed.", index));
    if (hex(await sha256(key)) !== entry.key_id) throw broken("the enrolled key is not the one that its id names.", index);
    this.keys.set(entry.key_id, { key, instance: entry.instance?.instance_id });
    this.enrolments += 1;
  }

  async statement(index, envelope) {
    const signatures = Array.isArray(envelope.signatures) ? envelope.signatures : [];
    const bound = signatures.map((one) => this.keys.get(one?.keyid)).find(Boolean);
    if (!bound) throw broken("the enrolment of its key is not in the bundle.", index);
    const wrong = broken("its envelope is malformed.", index);
    const decode = (encoded) => fromBase64(String(encoded).replaceAll("-", "+").replaceAll("_", "/"), wrong);
    const payload = decode(envelope.payload), type = utf8(String(envelope.payloadType));
    const content = concat(utf8(`DSSEv1 ${type.length} `), type, utf8(` ${payload.length} `), payload);
    let holds = false;
    for (const one of signatures) holds ||= await ecdsaHolds(bound.key, decode(one?.sig), content);
    if (!holds || envelope.payloadType !== IN_TOTO) throw broken("its signature does not hold for this instance's key.", index);
    const named = entryOf(index, payload).predicate?.instance?.instance_id;
    if (named !== bound.instance) throw broken(`its key is bound to ${bound.instance}, but it names another instance.`, index);
    this.count += 1;
  }
}
