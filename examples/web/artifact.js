// An artifact's bytes: find the manifest, prove that no byte has changed since the export.
// The same walk as device_runtime/artifact_file.py, proved by the contract's vectors: every
// offset is checked, so a damaged file is an error before the interpreter sees a byte.

export const CONTRACT_VERSION = 2;
const MANIFEST = "fedp_manifest";
const SEAL = /^\{"sha256":"[0-9a-f]{64}","signature":"[0-9a-f]{128}"/;
const HASH = [11, 75]; // of the manifest; hex digits
const SIGNATURE = [90, 218];
const [BUFFERS, METADATA] = [4, 6]; // fields of the schema's Model

/**
 * @typedef {object} Artifact
 * @property {Uint8Array<ArrayBuffer>} content the whole file, for the interpreter
 * @property {any} manifest as device_runtime/contract.py describes it
 */

/**
 * Fetches an artifact and proves it whole.
 *
 * @param {string | URL} url
 * @param {string | null} [publicKey] see `readArtifact`
 * @returns {Promise<Artifact>}
 */
export async function fetchArtifact(url, publicKey) {
  const answer = await fetch(url);
  if (!answer.ok) {
    throw new Error(`${url}: HTTP ${answer.status}; serve a file that fedp export wrote`);
  }
  return readArtifact(new Uint8Array(await answer.arrayBuffer()), publicKey);
}

/**
 * Proves an artifact whole, and with a key also who signed it.
 *
 * @param {Uint8Array<ArrayBuffer>} content of the file
 * @param {string | null} [publicKey] an Ed25519 key, 32 bytes in hex, of whoever must
 *   have signed it; without one, what is found is damage alone
 * @returns {Promise<Artifact>}
 */
export async function readArtifact(content, publicKey = null) {
  const [begin, end] = findManifest(content);
  const text = new TextDecoder("utf-8", { fatal: true }).decode(content.subarray(begin, end));
  if (hex(await digest(content, begin, [HASH])) !== text.slice(...HASH)) {
    throw new Error("it differs from what was exported (hash mismatch): copy or download it again");
  }
  if (publicKey) await checkSignature(content, begin, text.slice(...SIGNATURE), publicKey);
  const manifest = JSON.parse(text);
  if (manifest.contract !== CONTRACT_VERSION) {
    throw new Error(
      `the artifact speaks contract ${manifest.contract}, this runtime ${CONTRACT_VERSION}: ` +
        "install the fedp release it was exported with",
    );
  }
  return { content, manifest };
}

async function checkSignature(content, begin, signature, publicKey) {
  if (/^0*$/.test(signature)) {
    throw new Error(
      "it is not signed, and a public key is given: export it with --sign, or get it from " +
        "whoever signs it",
    );
  }
  const signed = await digest(content, begin, [HASH, SIGNATURE]);
  const message = await new Blob(["fedp artifact\0", signed]).arrayBuffer();
  const key = await crypto.subtle.importKey("raw", bytesOf(publicKey), "Ed25519", false, ["verify"]);
  if (!(await crypto.subtle.verify("Ed25519", key, bytesOf(signature), message))) {
    throw new Error(
      "its signature is not of this public key: use no such file, or give the public key of " +
        "whoever exported it",
    );
  }
}

/** SHA-256 of the file, taken with these fields of its manifest as the digit 0. */
async function digest(content, begin, fields) {
  const blank = content.slice();
  for (const [from, to] of fields) blank.fill("0".charCodeAt(0), begin + from, begin + to);
  return crypto.subtle.digest("SHA-256", blank);
}

function bytesOf(digits) {
  return Uint8Array.from(digits.match(/../g), (pair) => parseInt(pair, 16));
}

/**
 * @param {ArrayBuffer} bytes
 * @returns {string} two digits a byte
 */
export function hex(bytes) {
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Begin and end of the manifest, by Model.metadata and Model.buffers. */
export function findManifest(content) {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  if (content.length < 8 || latin(content, 4, 8) !== "TFL3") {
    throw new Error(
      `not a TFLite file (${content.length} bytes, no TFL3 mark): give a file that ` +
        "`fedp export` wrote",
    );
  }
  try {
    const model = view.getUint32(0, true);
    for (const entry of tables(view, model, METADATA)) {
      if (string(content, view, entry, 0) !== MANIFEST) continue;
      const buffer = tables(view, model, BUFFERS)[view.getUint32(field(view, entry, 1), true)];
      const [begin, end] = vector(view, field(view, buffer, 0));
      if (end <= content.length && SEAL.test(latin(content, begin, end))) return [begin, end];
      throw new Error("its manifest is cut short: copy it again");
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new Error("its structure is damaged (cut short?): copy or download it again", {
      cause: error,
    });
  }
  throw new Error(
    "it has no fedp manifest: only files that `fedp export` wrote can be adapted",
  );
}

/** Offset of a table's field. */
function field(view, table, number) {
  const vtable = table - view.getInt32(table, true);
  const inside = view.getUint16(vtable, true) >= 6 + 2 * number;
  const offset = inside ? view.getUint16(vtable + 4 + 2 * number, true) : 0;
  if (!offset) throw new RangeError(`no field ${number}`);
  return table + offset;
}

/** Begin and end of the bytes of a vector of bytes. */
function vector(view, at) {
  const begin = at + view.getUint32(at, true) + 4;
  return [begin, begin + view.getUint32(begin - 4, true)];
}

/** Offsets of the tables in a vector of tables. */
function tables(view, table, number) {
  const [begin] = vector(view, field(view, table, number));
  const count = view.getUint32(begin - 4, true);
  if (count > view.byteLength / 4) throw new RangeError(`${count} tables`);
  return Array.from({ length: count }, (_, at) => {
    const slot = begin + 4 * at;
    return slot + view.getUint32(slot, true);
  });
}

function string(content, view, table, number) {
  return latin(content, ...vector(view, field(view, table, number)));
}

/** Text of at most 256 bytes. */
function latin(content, begin, end) {
  return String.fromCharCode(...content.subarray(begin, Math.min(end, begin + 256)));
}
