// The page: draw, compare, correct, personalize.

import { Adaptation } from "./adaptation.js";
import { ask } from "./api.js";
import { Comparison } from "./comparison.js";
import { Examples } from "./examples.js";
import { Numbers, Paper } from "./giving.js";
import { showLive } from "./live.js";
import { parsed } from "./parsed.js";

const by = (id) => /** @type {any} */ (document.getElementById(id));

class Page {
  #last = Promise.resolve(); // what a control did last

  constructor(model) {
    this.model = model;
    this.shares = model.are_classes && !model.label_shape.length; // one class an example
    by("model").textContent =
      `${model.name}: ${model.classes.length} ${model.are_classes ? "classes" : "outputs"}, ` +
      `artifact ${model.sha256.slice(0, 12)}, guard \u201c${model.guard}\u201d`;
    this.comparison = new Comparison(by, model);
    const given = (entry) => this.#given(entry);
    this.giving = model.drawing
      ? new Paper(by, model, given)
      : new Numbers(by, model, given, failed);
    this.adaptation = new Adaptation(by, () => this.#changed(), failed);
    this.examples = new Examples(
      by("list"),
      model,
      (entry, name) => this.#guarded(() => this.comparison.look({ entry, name, mine: false })),
      (id) => this.#guarded(() => this.#delete(id)),
    );
    this.#labels();
    this.#controls();
  }

  static async open() {
    const page = new Page(await ask("GET", "model"));
    await page.#refresh();
    document.querySelector("main").inert = false;
  }

  #labels() {
    by("label").hidden = !this.shares;
    by("numbers").hidden = this.shares;
    for (const [at, name] of this.model.classes.entries()) {
      by("label").add(new Option(name, String(at)));
    }
  }

  #controls() {
    const on = (id, what, work) =>
      by(id).addEventListener(what, (event) => {
        event.preventDefault();
        this.#guarded(work);
      });
    on("labelling", "submit", () => this.#add());
    on("file", "change", () => this.#load());
    on("personalize", "click", () => this.#personalize());
    on("roll-back", "click", () => this.#rollBack());
    by("stop").addEventListener("click", () => this.adaptation.stop().catch(failed));
    by("forget").addEventListener("click", () => by("sure").showModal());
    by("sure").addEventListener("close", () => {
      if (by("sure").returnValue === "forget") this.#guarded(() => this.#forget());
      by("sure").returnValue = "";
    });
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.#guarded(() => this.#refresh()); // Others may have changed it.
    });
  }

  #given(entry) {
    if (!entry) return this.comparison.blank();
    const name = this.model.drawing ? "your drawing" : "your input";
    this.comparison.look({ entry, name, mine: true }).catch(failed);
  }

  async #add() {
    const { entry } = this.comparison.probe;
    const y = this.shares ? Number(by("label").value) : parsed(by("numbers").value);
    const found = await ask("POST", "label", { ...entry, y });
    this.giving.clear();
    await this.#refresh();
    by("added").textContent = `Added ${this.shares ? this.model.classes[y] : "an example"}.`;
    if (found.reverted) throw new Error(`The initial model is live again: ${found.reverted}`);
  }

  async #load() {
    const [file] = by("file").files;
    if (!file) return;
    const text = await file.text();
    by("file").value = "";
    const found = await ask("POST", "examples", parsed(text));
    await this.#refresh();
    by("added").textContent = `Added ${found.ids.length} examples.`;
  }

  async #delete(id) {
    await ask("DELETE", `examples/${id}`);
    if (this.comparison.probe && !this.comparison.probe.mine) this.comparison.blank();
    await this.#refresh();
    by("examples-title").focus(); // The button that had it is gone.
  }

  async #personalize() {
    await this.adaptation.start();
    by("stop").focus();
  }

  async #rollBack() {
    await ask("POST", "rollback");
    await this.#refresh();
  }

  /** What the page shows is forgotten too. */
  async #forget() {
    await ask("POST", "forget");
    this.giving.clear();
    await this.#refresh();
  }

  async #refresh() {
    await this.examples.refresh();
    const { count, strange } = this.examples;
    by("count").textContent = strange
      ? `The ${strange} stored examples are another model\u2019s.`
      : `${count || "No"} ${count === 1 ? "example" : "examples"}.`;
    by("personalize").disabled = !count;
    await this.adaptation.follow();
    await this.#changed();
  }

  /** Another model may be live: its answers come first, then its name. */
  async #changed() {
    if (this.comparison.probe) await this.comparison.again();
    showLive(by, await ask("GET", "status"), this.adaptation.outcome);
  }

  /** Runs what a control does, after what the last one did; an error is shown. */
  #guarded(work) {
    this.#last = this.#last.then(async () => {
      by("error").textContent = by("added").textContent = "";
      await work();
    });
    this.#last = this.#last.catch(failed);
    return this.#last;
  }
}

function failed(error) {
  by("error").textContent = error.message;
}

// Another token needs another start.
addEventListener("hashchange", () => location.reload());
Page.open().catch((error) => {
  by("model").textContent = "";
  failed(error);
});
