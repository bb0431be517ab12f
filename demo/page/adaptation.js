// The adaptation that runs on the server: its progress, its curve, its outcome.

import { ask } from "./api.js";
import { Curve } from "./curve.js";

const EVERY = 150; // ms between two questions while it runs

/** Follows the server's adaptation and shows it. */
export class Adaptation {
  #run = 0; // number of the curve that is shown
  #watching = false;

  /**
   * @param {(id: string) => any} by an element by its id
   * @param {() => Promise<void>} onEnd told when an adaptation has ended
   * @param {(error: Error) => void} onError told what went wrong
   */
  constructor(by, onEnd, onError) {
    Object.assign(this, { by, onEnd, onError });
    this.curve = new Curve(by("curve"));
    this.outcome = null;
    this.running = false;
  }

  async start() {
    await ask("POST", "adaptation");
    this.running = true; // It may have ended before the first question.
    await this.follow();
  }

  async stop() {
    await ask("DELETE", "adaptation");
  }

  /** Shows what is new, and goes on with that as long as something runs. */
  async follow() {
    const before = this.running;
    const since = this.curve.points.length;
    const found = await ask("GET", `adaptation?run=${this.#run}&since=${since}`);
    this.curve.points.length = found.since;
    this.curve.points.push(...found.points);
    this.#run = found.run;
    this.running = found.adapting;
    this.outcome = found.outcome;
    this.#show(found);
    if (found.adapting) this.#again();
    else if (before) {
      await this.onEnd();
      if (found.error) throw new Error(found.error);
    }
  }

  #again() {
    if (this.#watching) return;
    this.#watching = true;
    setTimeout(() => {
      this.#watching = false;
      this.follow().catch(this.onError);
    }, EVERY);
  }

  #show({ adapting, progress, outcome }) {
    const by = this.by;
    const focused = document.activeElement === by("stop");
    by("personalize").hidden = adapting;
    by("stop").hidden = !adapting;
    if (adapting) by("roll-back").disabled = true;
    if (focused && !adapting) by("personalize").focus();
    by("personalize").textContent = outcome?.decision === "unfinished" ? "Go on" : "Personalize";
    by("progress").hidden = !adapting;
    by("progress").value = progress?.share ?? 0;
    by("loss").hidden = !this.curve.points.length;
    by("step").textContent = adapting ? told(progress) : "";
    this.curve.show(progress?.all_steps ?? 1);
    this.#evidence(outcome);
  }

  #evidence(outcome) {
    const rows = outcome ? evidence(outcome) : [];
    this.by("evidence").hidden = !rows.length;
    this.by("judged").textContent = outcome ? `On ${outcome.judged} judged` : "";
    this.by("evidence").tBodies[0].replaceChildren(...rows.map(line));
  }
}

function told(progress) {
  if (!progress) return "Begins\u2026";
  const { phase, trial, trials, epoch, epochs, steps, all_steps } = progress;
  const what = phase === "judging" ? `Judging, ${trial} of ${trials}` : "Adapting on all";
  return `${what}: epoch ${epoch} of ${epochs}, step ${steps} of ${all_steps}`;
}

function evidence(outcome) {
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  const rows = [
    ["Accuracy", outcome.initial_accuracy, outcome.personalized_accuracy, percent],
    ["Loss", outcome.initial_loss, outcome.personalized_loss, (loss) => loss.toFixed(4)],
  ];
  return rows
    .filter(([, before, after]) => before !== null && after !== null)
    .map(([name, before, after, shown]) => [name, shown(before), shown(after)]);
}

function line([name, ...values]) {
  const row = document.createElement("tr");
  const head = Object.assign(document.createElement("th"), { scope: "row", textContent: name });
  row.append(head);
  for (const value of values) row.insertCell().textContent = value;
  return row;
}
