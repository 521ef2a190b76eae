// Bytes: base64 in its canonical form, SHA-256 and signatures, by WebCrypto. Without imports.

/** What was found to be wrong: a stable code, and a sentence that names the place. */
export class Fault extends Error {
  constructor(code, message) { super(message); this.code = code; }
}
/** This browser cannot verify; that is not a fault of the file. */
export class Unsupported extends Error {}

const NO_ED25519 = "This browser's WebCrypto has no Ed25519 signatures, so nothing was verified. Use a current Firefox, " +
  "Chromium or Safari, or the command: whence verify.";
const NO_WEBCRYPTO = "This page has no WebCrypto, so nothing was verified: browsers offer it over https and on localhost only.";
const subtle = globalThis.crypto?.subtle;

export function checkSupported() {
  if (!subtle) throw new Unsupported(NO_WEBCRYPTO);
}

export const utf8 = (text) => new TextEncoder().encode(text);
export const fromUtf8 = (bytes) => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
export const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
export const equal = (one, other) => one.length === other.length && one.every((byte, n) => byte === other[n]);
export const sha256 = async (bytes) => new Uint8Array(await subtle.digest("SHA-256", bytes));
export const sha256Digest = async (bytes) => `sha256:${hex(await sha256(bytes))}`;

export function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  let place = 0;
  for (const part of parts) { whole.set(part, place); place += part.length; }
  return whole;
}

/** Decode canonical base64: for every accepted text, encoding the result returns the text. Throws `fault`. */
export function fromBase64(encoded, fault) {
  try {
    const binary = atob(encoded);
    if (btoa(binary) === encoded) return Uint8Array.from(binary, (character) => character.charCodeAt(0));
  } catch { /* not base64 */ }
  throw fault;
}

/** Decode a SHA-256 hash in base64. Throws `fault`. */
export function fromHash(encoded, fault) {
  const bytes = fromBase64(encoded, fault);
  if (bytes.length !== 32) throw fault;
  return bytes;
}

/** Parse a JSON object. Throws `fault`. */
export function fromJson(content, fault) {
  try {
    const value = JSON.parse(content);
    if (value !== null && typeof value === "object" && !Array.isArray(value)) return value;
  } catch { /* not JSON */ }
  throw fault;
}

export async function ed25519Holds(key, signature, content) {
  try {
    const imported = await subtle.importKey("raw", key, { name: "Ed25519" }, false, ["verify"]);
    return await subtle.verify("Ed25519", imported, signature, content);
  } catch (error) {
    if (error?.name === "NotSupportedError") throw new Unsupported(NO_ED25519);
    return false;
  }
}

/** Return whether a signature in DER holds, by a P-256 key as SubjectPublicKeyInfo. */
export async function ecdsaHolds(spki, der, content) {
  const signature = rawSignature(der);
  if (!signature) return false;
  try {
    const key = await subtle.importKey("spki", spki, { name: "ECDSA", namedCurve: "P-256" }, false, ["verify"]);
    return await subtle.verify({ name: "ECDSA", hash: "SHA-256" }, key, signature, content);
  } catch {
    return false;
  }
}

/** Return the signature as WebCrypto expects it, r and s of 32 bytes each; null if it is not DER. */
function rawSignature(der) {
  if (der[0] !== 0x30 || der[1] !== der.length - 2 || der.length > 72) return null;
  const numbers = [];
  let place = 2;
  for (let n = 0; n < 2; n += 1) {
    const length = der[place + 1], value = der.slice(place + 2, place + 2 + length);
    if (der[place] !== 0x02 || !(length > 0) || value.length !== length || value[0] & 0x80) return null;
    const digits = value[0] === 0 ? value.slice(1) : value;
    if (digits.length > 32) return null;
    numbers.push(concat(new Uint8Array(32 - digits.length), digits));
    place += 2 + length;
  }
  return place === der.length ? concat(...numbers) : null;
}
