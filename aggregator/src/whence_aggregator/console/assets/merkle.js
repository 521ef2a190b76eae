// Merkle trees of RFC 6962 over SHA-256: hashes, and proofs that an entry is in a tree. As whence_common.merkle.

import { Fault, concat, equal, sha256, sha256Digest, utf8 } from "./bytes.js";

export const PROOF_HASHES_MAX = 63;
const ENTRY_BYTES_MAX = 65535;

const hashOfLeaf = (data) => sha256(concat(Uint8Array.of(0), data));
export const nodeHash = (left, right) => sha256(concat(Uint8Array.of(1), left, right));

/** Return the hash of an entry's leaf. */
export const leafHash = async (content) => hashOfLeaf(await leafData(content));

/** Return what the log hashes for an entry: its bytes, or its digest and size if it is too large for a C2SP bundle. */
async function leafData(content) {
  if (content.length <= ENTRY_BYTES_MAX) return content;
  const digest = await sha256Digest(content);
  return utf8(`{"digest":"${digest}","size":${content.length},"type":"urn:whence:by-digest:v1"}`);
}

export async function checkInclusion(leaf, index, checkpoint, proof) {
  if (index >= checkpoint.size) {
    throw new Fault("index-outside", `Entry ${index} is not among the ${checkpoint.size} entries of the checkpoint.`);
  }
  let number = index, last = checkpoint.size - 1n, found = leaf;
  for (const one of proof) {
    if (last === 0n) throw new Fault("proof-long", `The inclusion proof of entry ${index} has more hashes than the tree has levels.`);
    if (number & 1n || number === last) {
      found = await nodeHash(one, found);
      while (!(number & 1n) && number) { number >>= 1n; last >>= 1n; }
    } else {
      found = await nodeHash(found, one);
    }
    number >>= 1n; last >>= 1n;
  }
  if (last !== 0n) throw new Fault("proof-short", `The inclusion proof of entry ${index} lacks hashes: it ends below the root.`);
  if (!equal(found, checkpoint.root)) {
    throw new Fault("proof-invalid", `The proof does not lead from entry ${index} to the root that was signed: the entry's ` +
      "bytes, its number, or a hash of the proof was changed.");
  }
}
