// The page: examples in, personalized answers out.

import { fetchArtifact } from "./artifact.js";
import { Drawing } from "./drawing.js";
import { examplesFrom } from "./examples.js";
import { Model } from "./model.js";
import { areClasses, chanceOf, personalize } from "./personalize.js";
import { State } from "./state.js";

const LOCK = "fedp-changing"; // one change of the live model at a time, in all tabs
const SHOWN = 5; // classes in the comparison

// Who must have signed the artifact: an Ed25519 key, 32 bytes in hex. null: anyone, or nobody.
const PUBLIC_KEY = null;

const by = (id) => /** @type {any} */ (document.getElementById(id));

class Page {
  /** What is compared: one input, and how the page calls it. */
  probe = null;
  chosen = null; // id of the example that is looked at

  constructor(artifact, state, initial, live) {
    const { manifest } = artifact;
    this.manifest = manifest;
    this.state = state;
    this.initial = initial; // never trained
    this.live = live; // trains, and serves what is live
    this.shares = areClasses(manifest) && !manifest.labels.shape.length; // one class an example
    this.images = this.shares && isImage(manifest);
    by("model").textContent =
      `${manifest.model}: ${manifest.classes.length} classes, artifact ${manifest.sha256.slice(0, 12)}`;
    by("file").addEventListener("change", () => this.#guarded(() => this.#load()));
    by("remove").addEventListener("click", () => this.#guarded(() => this.#remove()));
    by("personalize").addEventListener("click", () => this.#changing(() => this.#personalize()));
    by("roll-back").addEventListener("click", () => this.#changing(() => this.#rollBack()));
    by("forget").addEventListener("click", () => this.#changing(() => this.#forget()));
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.#guarded(() => this.#show()); // Another tab may have changed it.
    });
    if (this.images) this.#allowDrawing();
    else if (!this.shares) by("what").textContent = "Output";
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
    const size = this.manifest.input_shape.reduce((all, axis) => all * axis, 1);
    if (examples.every(({ x }) => x.length === size)) return;
    throw new Error("the stored examples are another model's: forget them first");
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
    by("list").replaceChildren(...examples.map((example, at) => this.#item(example, at)));
  }

  #item(example, at) {
    const label = this.#named(example.y);
    const name = `example ${at + 1}, ${label}`;
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.id = example.id;
    button.setAttribute("aria-label", `Look at ${name}`);
    button.setAttribute("aria-pressed", String(example.id === this.chosen));
    if (this.images) button.append(thumbnail(example.x, this.manifest.input_shape));
    button.append(label);
    button.addEventListener("click", () =>
      this.#guarded(async () => {
        this.#choose(example.id);
        await this.#compare(example.x, name);
      }),
    );
    const item = document.createElement("li");
    item.append(button);
    return item;
  }

  #named(y) {
    if (!areClasses(this.manifest)) return Array.from(y).join(", ");
    return Array.from(y, (label) => this.manifest.classes[label] ?? "-").join(" ");
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
    by("answers").tBodies[0].replaceChildren(...this.#lines(before, after));
    by("answers").hidden = false;
  }

  #lines(before, after) {
    const shares = this.shares;
    const all = Array.from(before, (_, at) => at);
    const best = (at) => Math.max(before[at], after[at]);
    const shown = shares ? all.sort((a, b) => best(b) - best(a)).slice(0, SHOWN) : all;
    const classes = this.manifest.classes;
    return shown.map((at) => {
      const line = document.createElement("tr");
      const head = document.createElement("th");
      head.scope = "row";
      head.textContent = classes[at % classes.length];
      line.append(head, cell(before, at, shares), cell(after, at, shares));
      return line;
    });
  }

  /** As `#guarded`, in one tab at a time. */
  #changing(work) {
    return this.#guarded(() =>
      navigator.locks.request(LOCK, { ifAvailable: true }, async (lock) => {
        if (!lock) throw new Error("another tab is changing the model: wait for it");
        await work();
      }),
    );
  }

  /** Runs what a control does; nothing else meanwhile, and an error is shown. */
  async #guarded(work) {
    const main = document.querySelector("main");
    if (main.ariaBusy === "true") return;
    main.ariaBusy = "true";
    by("error").textContent = "";
    try {
      await work();
    } catch (error) {
      by("error").textContent = error.message;
    } finally {
      main.ariaBusy = "false";
    }
  }
}

function isImage({ input_shape: shape, input_dtype: dtype }) {
  const plane = shape.length === 2 || (shape.length === 3 && shape[2] === 1);
  return dtype === "float32" && plane && shape[0] >= 8 && shape[1] >= 8;
}

function thumbnail(x, [height, width]) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const ink = canvas.getContext("2d");
  const image = ink.createImageData(width, height);
  x.forEach((value, at) => image.data.set([value, value, value, 1].map((v) => 255 * v), 4 * at));
  ink.putImageData(image, 0, 0);
  return canvas;
}

function cell(answers, at, shares) {
  const found = document.createElement("td");
  if (shares) {
    const bar = document.createElement("span");
    bar.className = "bar";
    bar.style.setProperty("--share", String(answers[at]));
    found.append(bar);
    if (answers[at] === Math.max(...answers)) found.className = "first";
  }
  found.append(shares ? `${(100 * answers[at]).toFixed(1)} %` : answers[at].toFixed(4));
  return found;
}

Page.open().catch((error) => {
  by("model").textContent = error.message;
  by("model").setAttribute("role", "alert");
});
