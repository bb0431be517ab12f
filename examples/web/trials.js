// Which examples judge, and in which order a model sees the others.
// The same procedure as device_runtime/evidence.py; only the random numbers are others.

/**
 * @typedef {{adapt: number[], judge: number[]}} Trial numbers of examples, ascending
 * @typedef {() => number} Random gives numbers from 0 up to, not including, 1
 */

/**
 * A small generator of random numbers (mulberry32), the same in every browser.
 *
 * @param {number} seed
 * @returns {Random}
 */
export function randomFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * The numbers below `count`, each order as likely as any other (Fisher and Yates).
 *
 * @param {number} count
 * @param {Random} random
 * @returns {number[]}
 */
export function shuffled(count, random) {
  const order = Array.from({ length: count }, (_, at) => at);
  for (let last = count - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [order[last], order[other]] = [order[other], order[last]];
  }
  return order;
}

/**
 * The trials that a policy's guard asks for; none where nothing can be judged.
 *
 * @param {any} policy of the manifest
 * @param {Int32Array[] | null} labels of each example; null where they are no classes
 * @param {number[]} order of the examples, by chance
 * @returns {Trial[]}
 */
export function trialsOf(policy, labels, order) {
  const few = order.length < Math.max(policy.min_hold_out, 2);
  const oneClass = labels && distinctOf(labels) === 1;
  if (few || oneClass || policy.guard === "always" || policy.guard === "never") return [];
  let folds = Math.min(Math.max(policy.folds, 2), order.length);
  let judging = folds;
  if (policy.guard === "hold-out") {
    if (!(policy.hold_out > 0)) return [];
    folds = Math.max(2, Math.floor(1 / policy.hold_out + 0.5));
    judging = 1;
  }
  const fold = foldOf(labels, order, folds);
  const numbers = Array.from(fold, (_, at) => at);
  return Array.from({ length: judging }, (_, k) => ({
    adapt: numbers.filter((at) => fold[at] !== k),
    judge: numbers.filter((at) => fold[at] === k),
  }));
}

/** The number of distinct classes; -1 is none. */
export function distinctOf(labels) {
  return new Set(labels.flatMap((row) => Array.from(row)).filter((label) => label >= 0)).size;
}

/** The fold of each example: sizes, and each single label's share, nearly equal. */
function foldOf(labels, order, folds) {
  const single = labels?.every((row) => row.length === 1);
  const sorted = single ? order.toSorted((a, b) => labels[a][0] - labels[b][0]) : order;
  const fold = new Array(order.length);
  for (const [place, at] of sorted.entries()) fold[at] = place % folds;
  return fold;
}
