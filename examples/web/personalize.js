// Gather evidence, let the guard decide, adapt on all examples: what a device does.

import { adapt, pick } from "./adapt.js";
import { candidatesOf, decide } from "./guard.js";
import { distinctOf, randomFrom, shuffled, trialsOf } from "./trials.js";
import { allFinite, blended } from "./weights.js";

/**
 * @typedef {import("./model.js").Model} Model
 * @typedef {import("./model.js").Row} Row
 * @typedef {object} Chance
 * @property {import("./trials.js").Trial[]} trials
 * @property {(trial: number) => import("./adapt.js").Order} order of the examples in
 *   each adaptation; the last, numbered `trials.length`, is on all of them
 * @typedef {object} Outcome
 * @property {import("./guard.js").Decision} decision
 * @property {import("./guard.js").Evidence} evidence
 * @property {Row[] | null} weights to go live; null is the initial model
 * @property {number[][]} losses of each step of each adaptation
 */

/**
 * What chance decides: folds and orders.
 *
 * @param {any} manifest
 * @param {Row[]} y
 * @param {number} seed
 * @returns {Chance}
 */
export function chanceOf(manifest, y, seed) {
  const labels = areClasses(manifest) ? y : null;
  const trials = trialsOf(manifest.policy, labels, shuffled(y.length, randomFrom(seed)));
  const order = () => {
    const random = randomFrom(seed + 1);
    return (_epoch, count) => shuffled(count, random);
  };
  return { trials, order };
}

/** Whether there is such a thing as a correct answer. */
export function areClasses(manifest) {
  return manifest.labels.loss !== "mean_squared_error";
}

/**
 * Adapts the initial model and decides whether it is better.
 *
 * @param {Model} model adapts; its weights are of no use afterwards
 * @param {Model} judge judges; it is the initial model before and afterwards
 * @param {Row[]} x
 * @param {Row[]} y
 * @param {object} options
 * @param {Chance} options.chance
 * @param {(done: number, of: number, loss: number) => void} [options.onStep]
 * @returns {Promise<Outcome>}
 */
export async function personalize(model, judge, x, y, { chance, onStep }) {
  const { manifest } = model;
  const { policy } = manifest;
  const { order } = chance;
  const wanted = candidatesOf(policy);
  const trials = wanted.length ? chance.trials : [];
  const size = manifest.batch_size;
  const parts = [...trials.map(({ adapt: numbers }) => numbers.length), x.length];
  const steps = parts.reduce((sum, n) => sum + policy.epochs * Math.ceil(n / size), 0);
  let done = 0;
  const told = (loss) => onStep?.(++done, steps, loss);

  const features = await model.features(x); // What is frozen runs once an example.
  const theta = await judge.save();
  const losses = [];
  const initial = { losses: [], correct: [] };
  const candidates = wanted.map((candidate) => ({ ...candidate, losses: [], correct: [] }));
  let finite = true;
  for (const [at, trial] of trials.entries()) {
    const heldX = pick(features, trial.judge);
    const heldY = pick(y, trial.judge);
    append(initial, await judge.evaluate(heldX, heldY));
    await model.reset();
    const run = await adapt(model, pick(features, trial.adapt), pick(y, trial.adapt), {
      epochs: policy.epochs,
      learningRate: policy.learning_rate,
      order: order(at),
      onStep: told,
      onEpoch: async (epochs) => {
        const due = candidates.filter((candidate) => candidate.epochs === epochs);
        if (!due.length) return;
        const adapted = await model.save();
        for (const candidate of due) {
          await judge.restore(blended(theta, adapted, candidate.blend));
          append(candidate, await judge.evaluate(heldX, heldY));
        }
        await judge.reset();
      },
    });
    losses.push(run.losses);
    finite = run.finite;
    if (!finite) break;
  }
  const evidence = {
    initial,
    candidates: finite ? candidates : [],
    examples: x.length,
    distinct: distinctOf(y),
    finite,
    classes: areClasses(manifest),
  };
  const decision = decide(evidence, policy);
  if (!decision.blend) return { decision, evidence, losses, weights: null };
  await model.reset();
  const run = await adapt(model, features, y, {
    epochs: decision.epochs,
    learningRate: policy.learning_rate,
    order: order(trials.length),
    onStep: told,
  });
  losses.push(run.losses);
  const weights = blended(theta, await model.save(), decision.blend);
  if (run.finite && allFinite(weights)) return { decision, evidence, losses, weights };
  evidence.finite = false;
  return { decision: decide(evidence, policy), evidence, losses, weights: null };
}

function append(score, more) {
  score.losses.push(...more.losses);
  score.correct.push(...more.correct);
}
