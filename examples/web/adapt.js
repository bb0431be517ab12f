// Local epochs of the client optimizer on one person's examples; see
// device_runtime/adaptation.py.

const EXPLODED = 1000; // a loss so many times the first, or 1, will not come back
const PATIENCE = 40; // ms of work after which the page may draw and answer

/**
 * @typedef {(epoch: number, count: number) => number[]} Order of the examples in an epoch
 * @typedef {import("./model.js").Row} Row
 */

/**
 * Runs local epochs from the model's live weights, in place.
 *
 * @param {import("./model.js").Model} model
 * @param {Row[]} x what `Model.features` gave
 * @param {Row[]} y
 * @param {object} options
 * @param {number} options.epochs
 * @param {number} options.learningRate
 * @param {Order} options.order epochs count from 0
 * @param {(loss: number) => void} [options.onStep] told of every step
 * @param {(epochs: number) => Promise<void>} [options.onEpoch] told of those completed
 * @returns {Promise<{losses: number[], finite: boolean}>} each step's loss before it;
 *   it ends at the first that explodes or is NaN: the weights are then of no use
 */
export async function adapt(model, x, y, options) {
  const { epochs, learningRate, order, onStep, onEpoch } = options;
  const size = model.manifest.batch_size;
  const losses = [];
  let drawn = performance.now();
  for (let epoch = 0; epoch < epochs; epoch++) {
    const now = order(epoch, x.length);
    for (let from = 0; from < now.length; from += size) {
      const batch = now.slice(from, from + size);
      const loss = await model.trainStep(pick(x, batch), pick(y, batch), learningRate);
      losses.push(loss);
      onStep?.(loss);
      const exploded = loss > EXPLODED * Math.max(losses[0], 1);
      if (!Number.isFinite(loss) || exploded) return { losses, finite: false };
      if (performance.now() - drawn > PATIENCE) {
        await new Promise((resolve) => setTimeout(resolve));
        drawn = performance.now();
      }
    }
    await onEpoch?.(epoch + 1);
  }
  return { losses, finite: true };
}

/**
 * The rows of these numbers.
 *
 * @template T
 * @param {T[]} all
 * @param {number[]} numbers
 * @returns {T[]}
 */
export function pick(all, numbers) {
  return numbers.map((at) => all[at]);
}
