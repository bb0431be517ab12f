// Which model is live, and why.

const VERDICTS = {
  keep: "Kept: the personalized model is live.",
  revert: "Reverted: the initial model is live.",
  none: "Nothing was decided yet: the initial model is live.",
};

/**
 * Shows what the server says is live.
 *
 * @param {(id: string) => any} by an element by its id
 * @param {any} status the server's
 * @param {any} outcome of the last adaptation; null if there was none
 */
export function showLive(by, status, outcome) {
  const personalized = status.live !== "initial";
  by("live").textContent = personalized
    ? `Live: personalized model, generation ${status.live}`
    : "Live: initial model";
  by("live").className = personalized ? "kept" : "";
  const stopped = outcome?.decision === "unfinished";
  by("decision").className = stopped ? "" : (status.decision ?? "");
  by("verdict").textContent = stopped ? "Stopped." : VERDICTS[status.decision ?? "none"];
  const reason = stopped ? outcome.reason : status.reason;
  by("reason").textContent = [reason, ...status.warnings].filter(Boolean).join(". ");
  by("roll-back").disabled = !status.generations || status.adapting;
}
