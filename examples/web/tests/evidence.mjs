// JSON has no NaN and no Infinity: in the contract's vectors they are strings.

/**
 * A vector's evidence as `decide` takes it.
 *
 * @param {any} evidence
 * @returns {import("../guard.js").Evidence}
 */
export function evidenceOf(evidence) {
  const score = (found) => ({
    ...found,
    losses: found.losses.map(Number),
    correct: found.correct.map(Number),
  });
  const { initial, candidates } = evidence;
  return { ...evidence, initial: score(initial), candidates: candidates.map(score) };
}
