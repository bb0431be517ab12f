// Weights as arrays in manifest order; see device_runtime/weights.py.

/**
 * The weights theta + blend (adapted - theta), each operation rounded to float32.
 *
 * @param {import("./model.js").Row[]} theta
 * @param {import("./model.js").Row[]} adapted
 * @param {number} blend above 0, at most 1
 * @returns {import("./model.js").Row[]}
 */
export function blended(theta, adapted, blend) {
  if (blend === 1) return adapted;
  const share = Math.fround(blend);
  const step = (from, to) => Math.fround(share * Math.fround(to - from));
  return theta.map((weights, at) => weights.map((w, n) => w + step(w, adapted[at][n])));
}

/**
 * All weights as little-endian float32, one after the other, as every browser holds them.
 *
 * @param {import("./model.js").Row[]} weights
 * @returns {Promise<ArrayBuffer>}
 */
export function blobOf(weights) {
  return new Blob(weights).arrayBuffer();
}

/** Whether no weight is NaN or Inf. */
export function allFinite(weights) {
  return weights.every((array) => array.every(Number.isFinite));
}
