// What both models answer to one input.

import { best, show } from "./answers.js";
import { ask } from "./api.js";

/**
 * An input to compare: how the server takes it, what the page calls it, and whether a
 * person may label it.
 *
 * @typedef {{entry: any, name: string, mine: boolean}} Probe
 */

/** Both models' answers, side by side, to the last input that was given. */
export class Comparison {
  /** @type {Probe | null} */
  probe = null;
  #stale = false; // whether the probe has not been asked for
  #asking = null; // the questions that are under way

  /**
   * @param {(id: string) => any} by an element by its id
   * @param {any} model what the server says of it
   */
  constructor(by, model) {
    Object.assign(this, { by, model });
    this.blank();
  }

  /** Shows that there is nothing to compare. */
  blank() {
    this.probe = null;
    this.by("live-title").textContent = "Live model";
    const give = this.model.drawing ? "Draw something" : "Give something";
    this.by("shown").textContent = `${give}, or look at one of your examples.`;
    for (const id of ["initial", "personalized"]) this.by(id).replaceChildren();
    this.by("add").disabled = true;
  }

  /** @param {Probe} probe */
  look(probe) {
    this.probe = probe;
    return this.again();
  }

  /** One question at a time: of the inputs that come meanwhile, the last one is next. */
  again() {
    this.#stale = true;
    this.#asking ??= this.#answers().finally(() => (this.#asking = null));
    return this.#asking;
  }

  async #answers() {
    while (this.#stale && this.probe) {
      this.#stale = false;
      const probe = this.probe;
      const found = await ask("POST", "predict", probe.entry);
      if (probe === this.probe) this.#show(found, probe);
    }
  }

  #show(found, { name, mine }) {
    this.by("shown").textContent = `Answers to ${name}.`;
    this.by("live-title").textContent =
      found.generation === "initial" ? "Live model (initial)" : "Personalized model";
    show(this.by("initial"), found.initial, this.model);
    show(this.by("personalized"), found.live, this.model);
    this.by("add").disabled = !mine;
    const guess = best(found.live, this.model);
    if (mine && guess !== null) this.by("label").value = String(guess);
  }
}
