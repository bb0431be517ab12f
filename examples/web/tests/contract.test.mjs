// The contract's vectors hold for this host's guard, trials, blends and seals: `node --test`.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { findManifest, hex, readArtifact } from "../artifact.js";
import { blended, blobOf } from "../weights.js";
import { candidatesOf, decide } from "../guard.js";
import { trialsOf } from "../trials.js";
import { evidenceOf } from "./evidence.mjs";

const VECTORS = new URL("../../../device_runtime/vectors/", import.meta.url);

/** Runs a check on every vector of a file, each a test of its name. */
async function each(file, check) {
  const vectors = JSON.parse(await readFile(new URL(file, VECTORS), "utf8"));
  assert.ok(vectors.length);
  for (const vector of vectors) {
    test(`${file}: ${vector.name}`, () => check(vector));
  }
}

await each("guard.json", ({ evidence, policy, decision }) => {
  const { epochs, blend, reason } = decide(evidenceOf(evidence), policy);
  assert.deepEqual({ epochs, blend }, { epochs: decision.epochs, blend: decision.blend });
  assert.match(reason, /\w/); // Hosts may say it in other words.
});

await each("candidates.json", ({ policy, candidates }) => {
  assert.deepEqual(candidatesOf(policy), candidates);
});

await each("trials.json", ({ policy, label_dtype, labels, order, trials }) => {
  const rows = labels.map((label) => [label].flat());
  assert.deepEqual(trialsOf(policy, label_dtype === "int32" ? rows : null, order), trials);
});

await each("blend.json", ({ initial, adapted, blend, live }) => {
  const [found] = blended([Float32Array.from(initial)], [Float32Array.from(adapted)], blend);
  assert.deepEqual(Array.from(found), live);
});

await each("weights.json", async ({ weights, values, blob }) => {
  const arrays = weights.map(({ name }) => Float32Array.from(values[name].flat(Infinity)));
  assert.equal(hex(await blobOf(arrays)), blob);
});

await each("seal.json", async ({ file, begin, end, error, error_with_key, public_key }) => {
  const content = new Uint8Array(Buffer.from(file, "base64"));
  if (begin !== null) assert.deepEqual(findManifest(content), [begin, end]);
  for (const [key, wanted] of [[null, error], [public_key, error_with_key]]) {
    const found = await readArtifact(content, key).then(() => null, ({ message }) => message);
    assert.equal(found, wanted);
  }
});
