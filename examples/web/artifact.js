// An artifact's bytes: find the manifest, prove that no byte has changed since the export.
// The same walk as device_runtime/artifact_file.py: every offset is checked, so a damaged
// file is an error before the interpreter sees a byte of it.

export const CONTRACT_VERSION = 2;
const MANIFEST = "fedp_manifest";
const SEAL = /^\{"sha256":"[0-9a-f]{64}","signature":"[0-9a-f]{128}"/;
const HASH_AT = 11; // of the manifest; 64 hex digits
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
 * @returns {Promise<Artifact>}
 */
export async function fetchArtifact(url) {
  const answer = await fetch(url);
  if (!answer.ok) {
    throw new Error(`${url}: HTTP ${answer.status}; serve a file that fedp export wrote`);
  }
  return readArtifact(new Uint8Array(await answer.arrayBuffer()));
}

/**
 * Proves an artifact whole.
 *
 * @param {Uint8Array<ArrayBuffer>} content of the file
 * @returns {Promise<Artifact>}
 */
export async function readArtifact(content) {
  const [begin, end] = findManifest(content);
  const text = new TextDecoder("utf-8", { fatal: true }).decode(content.subarray(begin, end));
  const manifest = JSON.parse(text);
  if ((await fileHash(content, begin)) !== manifest.sha256) {
    throw new Error("the artifact differs from what was exported: copy it again");
  }
  if (manifest.contract !== CONTRACT_VERSION) {
    throw new Error(
      `the artifact speaks contract ${manifest.contract}, this page ${CONTRACT_VERSION}: ` +
        "use the page of the release that exported it",
    );
  }
  if (!manifest.fixed_batch) {
    throw new Error(
      "LiteRT.js takes tensors of fixed shapes: export the artifact with --fixed-batch",
    );
  }
  return { content, manifest };
}

/** SHA-256 of the file in hex, taken with the hash in its manifest as zeros. */
async function fileHash(content, begin) {
  const blank = content.slice();
  blank.fill("0".charCodeAt(0), begin + HASH_AT, begin + HASH_AT + 64);
  return hex(await crypto.subtle.digest("SHA-256", blank));
}

/**
 * @param {ArrayBuffer} bytes
 * @returns {string} two digits a byte
 */
export function hex(bytes) {
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Begin and end of the manifest, by Model.metadata and Model.buffers. */
function findManifest(content) {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  if (content.length < 8 || latin(content, 4, 8) !== "TFL3") {
    throw new Error("not a TFLite file: serve a file that fedp export wrote");
  }
  try {
    const model = view.getUint32(0, true);
    for (const entry of tables(view, model, METADATA)) {
      if (string(content, view, entry, 0) !== MANIFEST) continue;
      const buffer = tables(view, model, BUFFERS)[view.getUint32(field(view, entry, 1), true)];
      const [begin, end] = vector(view, field(view, buffer, 0));
      if (end > content.length || !SEAL.test(latin(content, begin, begin + 220))) break;
      return [begin, end];
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new Error("the artifact's structure is damaged: copy it again", { cause: error });
  }
  throw new Error("no fedp manifest in it: only files that fedp export wrote can be adapted");
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

function latin(content, begin, end) {
  return String.fromCharCode(...content.subarray(begin, end));
}
