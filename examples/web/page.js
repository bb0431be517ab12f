// The page: examples in, personalized answers out.

import { fetchArtifact } from "./artifact.js";
import { Drawing } from "./drawing.js";
import { examplesFrom, inputOf, labelOf } from "./examples.js";
import { Model } from "./model.js";
import { chanceOf, personalize } from "./personalize.js";
import { State } from "./state.js";
import { exampleItem, isDrawn, showAnswers } from "./view.js";

const LOCK = "fedp-changing"; // one change of the live model at a time, in all tabs

// Who must have signed the artifact: an Ed25519 key, 32 bytes in hex. null: anyone, or nobody.
const PUBLIC_KEY = null;

const by = (id) => /** @type {any} */ (document.getElementById(id));

class Page {
  /** What is compared: one input, and how the page calls it. */
  probe = null;
  chosen = null; // id of the example that is looked at
  last = Promise.resolve(); // what controls do, one after the other

  constructor(artifact, state, initial, live) {
    const { manifest } = artifact;
    this.manifest = manifest;
    this.state = state;
    this.initial = initial; // never trained
    this.live = live; // trains, and serves what is live
    const name = manifest.sha256.slice(0, 12);
    by("model").textContent = `${manifest.model}: ${manifest.classes.length} classes, ${name}`;
    by("file").addEventListener("change", () => this.#guarded(() => this.#load()));
    by("remove").addEventListener("click", () => this.#guarded(() => this.#remove()));
    by("personalize").addEventListener("click", () => this.#changing(() => this.#personalize()));
    by("roll-back").addEventListener("click", () => this.#changing(() => this.#rollBack()));
    by("forget").addEventListener("click", () => this.#changing(() => this.#forget()));
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.#guarded(() => this.#show()); // Another tab may have changed it.
    });
    if (isDrawn(manifest)) this.#allowDrawing();
  }

  static async open() {
    const artifact = await fetchArtifact("model.tflite", PUBLIC_KEY);
    const state = await State.open(artifact.manifest.sha256);
    const page = new Page(artifact, state, await Model.open(artifact), await Model.open(artifact));
    await page.#show();
    document.querySelector("main").inert = false;
  }

  #allowDrawing() {
    for (const [at, name] of this.manifest.classes.entries()) {
      by("label").add(new Option(name, String(at)));
    }
    const drawing = new Drawing(
      by("canvas"),
      () => this.#guarded(() => this.#showDrawn(drawing)),
      (text) => (by("pen").textContent = text),
    );
    by("inverted").checked = localStorage.getItem("inverted") === "yes";
    by("inverted").addEventListener("change", () => {
      localStorage.setItem("inverted", by("inverted").checked ? "yes" : "no");
      this.#guarded(() => this.#showDrawn(drawing));
    });
    by("clear").addEventListener("click", () => drawing.clear());
    by("add").addEventListener("click", () =>
      this.#guarded(async () => {
        if (drawing.empty) throw new Error("draw something first");
        const y = Int32Array.of(Number(by("label").value));
        await this.state.addExamples([{ x: this.#drawn(drawing), y }]);
        drawing.clear();
        await this.#list();
      }),
    );
    by("draw").hidden = false;
    by("shown").textContent = "Draw something, or choose one of your examples.";
  }

  #drawn(drawing) {
    const [height, width] = this.manifest.input_shape;
    const ink = drawing.pixels(width, height);
    return by("inverted").checked ? ink.map((value) => 1 - value) : ink;
  }

  async #showDrawn(drawing) {
    if (drawing.empty) return;
    this.#choose(null);
    await this.#compare(this.#drawn(drawing), "what you drew");
  }

  async #load() {
    const [file] = by("file").files;
    if (!file) return;
    const found = examplesFrom(await file.text(), this.manifest);
    await this.state.addExamples(found);
    by("file").value = "";
    await this.#list();
  }

  async #remove() {
    await this.state.deleteExample(this.chosen);
    this.#choose(null);
    await this.#list();
  }

  async #personalize() {
    const examples = await this.state.examples();
    this.#checkFit(examples);
    const x = examples.map((example) => example.x);
    const y = examples.map((example) => example.y);
    by("progress").hidden = false;
    try {
      const onStep = (done, of, loss) => {
        by("progress").value = done / of;
        by("step").textContent = `Step ${done} of ${of}, loss ${loss.toFixed(3)}`;
      };
      const chance = chanceOf(this.manifest, y, 0);
      const found = await personalize(this.live, this.initial, x, y, { chance, onStep });
      await this.state.keep(found.weights, found.decision);
    } finally {
      by("progress").hidden = true;
      by("step").textContent = "";
      await this.initial.reset();
      await this.#serve();
    }
  }

  /** Examples of another model may lie in the same state. */
  #checkFit(examples) {
    try {
      for (const { x, y } of examples) {
        inputOf(Array.from(x), this.manifest);
        labelOf(Array.from(y), this.manifest);
      }
    } catch (error) {
      const why = `the stored examples are another model's (${error.message})`;
      throw new Error(`${why}: forget them first`, { cause: error });
    }
  }

  async #rollBack() {
    await this.state.rollBack();
    await this.#serve();
  }

  async #forget() {
    if (!confirm("Delete all examples, and all that was learned from them?")) return;
    await this.state.forget();
    this.#choose(null);
    await this.#show();
  }

  async #show() {
    await this.#serve();
    await this.#list();
  }

  /** Makes what the state says live, and says so. */
  async #serve() {
    const found = await this.state.live();
    if (found?.weights) await this.live.restore(found.weights);
    else await this.live.reset();
    by("decision").className = found?.weights ? "kept" : "";
    by("verdict").textContent = found?.weights
      ? "The personalized model is live."
      : "The initial model is live.";
    by("reason").textContent = found?.decision.reason ?? "Nothing was learned yet.";
    const newest = (await this.state.generations()).at(-1);
    by("roll-back").disabled = !newest;
    if (newest && newest.id !== found?.id) {
      by("error").textContent = "The newest stored model is damaged: the one before it is live.";
    }
    if (this.probe) await this.#compare(this.probe.x, this.probe.name);
  }

  async #list() {
    const examples = await this.state.examples();
    by("count").textContent =
      examples.length === 1 ? "1 example" : `${examples.length || "No"} examples`;
    by("personalize").disabled = !examples.length;
    const items = examples.map((example, at) =>
      exampleItem(example, at, this.manifest, (name) =>
        this.#guarded(async () => {
          this.#choose(example.id);
          await this.#compare(example.x, name);
        }),
      ),
    );
    by("list").replaceChildren(...items);
    this.#choose(this.chosen);
  }

  #choose(id) {
    this.chosen = id;
    by("remove").hidden = id === null;
    for (const button of by("list").querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.id === String(id)));
    }
  }

  async #compare(x, name) {
    this.probe = { x, name };
    const [before] = await this.initial.infer([x]);
    const [after] = await this.live.infer([x]);
    by("shown").textContent = `Answers to ${name}.`;
    showAnswers(by("answers"), before, after, this.manifest);
  }

  /** Runs a change of the live model: one at a time, in one tab at a time. */
  #changing(work) {
    if (document.querySelector("main").ariaBusy === "true") return;
    this.#guarded(() =>
      navigator.locks.request(LOCK, { ifAvailable: true }, async (lock) => {
        if (!lock) throw new Error("another tab is changing the model: wait for it");
        await work();
      }),
    );
  }

  /** Runs what a control does after what came before it; shows an error. */
  #guarded(work) {
    this.last = this.last.then(async () => {
      const main = document.querySelector("main");
      main.ariaBusy = "true";
      by("error").textContent = "";
      await work().catch((error) => (by("error").textContent = error.message));
      main.ariaBusy = "false";
    });
  }
}

Page.open().catch((error) => {
  by("model").textContent = error.message;
  by("model").setAttribute("role", "alert");
});
