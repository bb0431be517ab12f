// The guard: from evidence to what becomes live, with the reason. The same decisions as
// device_runtime/guards.py, proved by the contract's vectors; nothing but plain arithmetic.

// Rounding in sums of shares must not decide; one example of a million still does.
const ROUNDING = 1e-9;

/**
 * @typedef {{epochs: number, blend: number}} Candidate initial + blend (adapted - initial)
 * @typedef {import("./model.js").Score} Score
 * @typedef {object} Evidence
 * @property {Score} initial the initial model on all judged examples
 * @property {(Candidate & Score)[]} candidates on the same examples, none trained on
 * @property {number} examples how many the final model is adapted on
 * @property {number} distinct number of distinct labels among them
 * @property {boolean} finite whether training losses and weights stayed finite
 * @property {boolean} classes whether labels are classes
 * @typedef {Candidate & {reason: string}} Decision blend 0 is the initial model
 */

/** Which candidates a guard has judged, which of them pass, and which of those lives. */
const KINDS = {
  always: { stops: false, blends: false, passes: anyGain, rank: leastLoss },
  never: { stops: false, blends: false, passes: anyGain, rank: leastLoss },
  "hold-out": { stops: false, blends: false, passes: anyGain, rank: leastLoss },
  paired: { stops: false, blends: false, passes: sureLoss, rank: leastLoss },
  "cross-validation": { stops: true, blends: false, passes: anyGain, rank: leastLoss },
  blend: { stops: false, blends: true, passes: anyGain, rank: leastLoss },
  sure: { stops: true, blends: true, passes: sure, rank: mostAdapted },
};

/**
 * What a policy's guard wants judged, by ascending epochs, then blend.
 *
 * @returns {Candidate[]}
 */
export function candidatesOf(policy) {
  const kind = kindOf(policy);
  const stops = policy.epochs ? [policy.epochs] : [];
  if (kind.stops && policy.epochs > 1) stops.unshift(Math.floor((policy.epochs + 1) / 2));
  const blends = kind.blends ? policy.blends.toSorted((a, b) => a - b) : [1];
  return stops.flatMap((epochs) => blends.map((blend) => ({ epochs, blend })));
}

/**
 * Lets a personalized model live only where the evidence shows that it is better.
 *
 * @param {Evidence} evidence
 * @param {any} policy of the manifest
 * @returns {Decision}
 */
export function decide(evidence, policy) {
  const kind = kindOf(policy);
  const judged = evidence.initial.losses.length;
  if (policy.guard === "never") return revert("the policy never personalizes");
  if (evidence.examples === 0) return revert("there are no examples to adapt on");
  if (!evidence.finite) return revert("the training loss became NaN or Inf while adapting");
  if (policy.guard === "always") {
    return { epochs: policy.epochs, blend: 1, reason: "the policy always personalizes" };
  }
  if (evidence.classes && evidence.distinct === 1) {
    return revert("all examples have one label: they cannot show what is forgotten");
  }
  const needed = Math.max(policy.min_hold_out, 1);
  if (judged < needed) {
    return revert(
      `too few examples to judge by: there are ${judged}, the guard needs ${needed}`,
    );
  }
  const gains = evidence.candidates
    .toSorted((a, b) => a.epochs - b.epochs || a.blend - b.blend)
    .map((candidate) => gainOf(candidate, evidence.initial))
    .filter((gain) => Number.isFinite(gain.loss));
  if (!gains.length) return revert("no personalized model has a finite loss");
  const passed = gains.filter((gain) => kind.passes(gain, evidence, policy));
  if (!passed.length) {
    return revert(`nothing is surely better: ${told(highest(gains, leastLoss), evidence)}`);
  }
  const best = highest(passed, kind.rank);
  return { epochs: best.epochs, blend: best.blend, reason: told(best, evidence) };
}

function kindOf(policy) {
  const kind = Object.hasOwn(KINDS, policy.guard) && KINDS[policy.guard];
  if (!kind) throw new Error(`no guard "${policy.guard}": use a page that knows it`);
  return kind;
}

/** The loss falls, and accuracy gains the margin. */
function anyGain(gain, evidence, policy) {
  if (!(gain.loss > 0)) return false;
  const judged = evidence.initial.losses.length;
  return !evidence.classes || gain.net >= policy.margin * judged - ROUNDING * judged;
}

/** The paired test: the loss falls by more than `caution` standard errors. */
function sureLoss(gain, _evidence, policy) {
  return gain.loss > 0 && gain.loss > policy.caution * gain.error;
}

function sure(gain, evidence, policy) {
  return sureLoss(gain, evidence, policy) && anyGain(gain, evidence, policy);
}

function leastLoss(gain) {
  return [gain.loss];
}

/** Log loss likes half-way models, accuracy does not: take the whole step. */
function mostAdapted(gain) {
  return [gain.blend, gain.epochs];
}

/** Of equals the first: fewer epochs, the smaller blend. */
function highest(gains, rank) {
  return gains.reduce((best, gain) => (above(rank(gain), rank(best)) ? gain : best));
}

function above(a, b) {
  const at = a.findIndex((value, index) => value !== b[index]);
  return at >= 0 && a[at] > b[at];
}

/** A candidate against the initial model: log loss saved, its error, labels won. */
function gainOf({ epochs, blend, losses, correct }, before) {
  const saved = before.losses.map((loss, at) => loss - losses[at]);
  const count = saved.length;
  const loss = sum(saved) / count;
  const squares = sum(saved.map((value) => (value - loss) ** 2));
  const error = count > 1 ? Math.sqrt(squares / (count - 1) / count) : Infinity;
  const won = sum(correct.map((hit, at) => Math.max(hit - before.correct[at], 0)));
  const lost = sum(correct.map((hit, at) => Math.max(before.correct[at] - hit, 0)));
  return { epochs, blend, loss, error, net: won - lost };
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

function told({ epochs, blend, loss, error, net }, evidence) {
  const judged = evidence.initial.losses.length;
  const before = sum(evidence.initial.correct);
  const hits =
    `, ${general(before, 4)}/${judged} labels hit become ${general(before + net, 4)}`;
  return (
    `after ${epochs} epochs at blend ${general(blend, 6)}, on ${judged} examples, ` +
    `log loss ${loss < 0 ? "rises" : "falls"} by ${fixed(Math.abs(loss))} ` +
    `+- ${fixed(error)}${evidence.classes ? hits : ""}`
  );
}

function fixed(value) {
  return Number.isFinite(value) ? value.toFixed(4) : "inf";
}

/** As C's %g writes a number that needs no exponent; with one, as JavaScript does. */
function general(value, digits) {
  return String(Number(value.toPrecision(digits)));
}

function revert(reason) {
  return { epochs: 0, blend: 0, reason };
}
