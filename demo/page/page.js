// The page: draw, compare, correct, personalize.

import { Adaptation } from "./adaptation.js";
import { best, show } from "./answers.js";
import { ask } from "./api.js";
import { Drawing } from "./drawing.js";
import { Examples } from "./examples.js";
import { paint, pixelsOf } from "./raster.js";

const by = (id) => /** @type {any} */ (document.getElementById(id));

class Page {
  #probe = null; // the input that is compared, as the server takes it
  #stale = false; // whether it has not been asked for
  #asking = null; // the questions that are under way
  #last = Promise.resolve(); // what a control did last

  constructor(model) {
    this.model = model;
    this.shares = model.are_classes && !model.label_shape.length; // one class an example
    this.adaptation = new Adaptation(by, () => this.#ended(), failed);
    this.examples = new Examples(
      by("list"),
      model,
      (entry, name) => this.#guarded(() => this.#look(entry, name)),
      (id) => this.#guarded(() => this.#delete(id)),
    );
    by("model").textContent =
      `${model.name}: ${model.classes.length} ${model.are_classes ? "classes" : "outputs"}, ` +
      `artifact ${model.sha256.slice(0, 12)}, guard \u201c${model.guard}\u201d`;
    this.#labels();
    if (model.drawing) this.#draw();
    else this.#type();
    this.#controls();
  }

  static async open() {
    const page = new Page(await ask("GET", "model"));
    page.#blank();
    await page.#refresh();
    document.querySelector("main").inert = false;
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
    by("stop").addEventListener("click", () => this.adaptation.stop().catch(failed));
    on("roll-back", "click", () => this.#change("rollback"));
    by("forget").addEventListener("click", () => by("sure").showModal());
    by("sure").addEventListener("close", () => {
      if (by("sure").returnValue === "forget") this.#guarded(() => this.#change("forget"));
      by("sure").returnValue = "";
    });
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.#guarded(() => this.#refresh()); // Others may have changed it.
    });
  }

  #labels() {
    by("label").hidden = !this.shares;
    by("numbers").hidden = this.shares;
    for (const [at, name] of this.model.classes.entries()) {
      by("label").add(new Option(name, String(at)));
    }
  }

  #draw() {
    const remembered = `inverted ${this.model.sha256}`;
    const inverted = by("inverted");
    inverted.checked = localStorage.getItem(remembered) === "yes";
    inverted.addEventListener("change", () => {
      localStorage.setItem(remembered, inverted.checked ? "yes" : "no");
      this.#drawn();
    });
    this.drawing = new Drawing(
      by("canvas"),
      () => this.#drawn(),
      (text) => (by("pen").textContent = text),
    );
    by("undo").addEventListener("click", () => this.drawing.undo());
    by("clear").addEventListener("click", () => this.drawing.clear());
    by("draw").hidden = false;
  }

  #type() {
    const { input_shape: shape } = this.model;
    by("no-image").textContent =
      "The model\u2019s input is no grey image, so there is nothing to draw: give its " +
      `numbers, as a list of shape [${shape}].`;
    by("predict").addEventListener("click", () =>
      this.#guarded(async () => {
        await this.#look({ x: parsed(by("input").value) }, "your input");
      }),
    );
    by("type").hidden = false;
  }

  /** Lets both models answer to the drawing as it is now. */
  #drawn() {
    if (this.drawing.empty) return this.#blank();
    const [height, width] = this.model.drawing;
    const ink = pixelsOf(this.drawing.strokes, height, width);
    const pixels = by("inverted").checked ? ink.map((value) => 255 - value) : ink;
    paint(by("seen"), pixels, height, width);
    this.#probe = { entry: { pixels }, name: "your drawing", label: true };
    this.#compare().catch(failed);
  }

  #blank() {
    this.#probe = null;
    if (this.model.drawing) {
      const [height, width] = this.model.drawing;
      const ground = by("inverted").checked ? 255 : 0;
      paint(by("seen"), new Array(height * width).fill(ground), height, width);
    }
    by("shown").textContent = `${this.model.drawing ? "Draw" : "Give"} something, or look at one of your examples.`;
    for (const id of ["initial", "personalized"]) by(id).replaceChildren();
    by("add").disabled = true;
  }

  async #look(entry, name) {
    this.#probe = { entry, name, label: !this.model.drawing };
    await this.#compare();
  }

  /** One question at a time: of the inputs that come meanwhile, the last one is next. */
  #compare() {
    this.#stale = true;
    this.#asking ??= this.#answers().finally(() => (this.#asking = null));
    return this.#asking;
  }

  async #answers() {
    while (this.#stale && this.#probe) {
      this.#stale = false;
      const probe = this.#probe;
      const found = await ask("POST", "predict", probe.entry);
      if (probe === this.#probe) this.#show(found, probe);
    }
  }

  #show(found, { name, label }) {
    by("shown").textContent = `Answers to ${name}.`;
    show(by("initial"), found.initial, this.model);
    show(by("personalized"), found.live, this.model);
    by("add").disabled = !label;
    const guess = best(found.live, this.model);
    if (label && guess !== null) by("label").value = String(guess);
  }

  async #add() {
    const { entry } = this.#probe;
    const y = this.shares ? Number(by("label").value) : parsed(by("numbers").value);
    const found = await ask("POST", "label", { ...entry, y });
    const name = this.shares ? this.model.classes[y] : "an example";
    by("added").textContent = `Added ${name}.`;
    if (this.drawing) this.drawing.clear();
    else this.#blank();
    await this.#refresh();
    if (found.reverted) throw new Error(`The initial model is live again: ${found.reverted}`);
  }

  async #load() {
    const [file] = by("file").files;
    if (!file) return;
    const entries = parsed(await file.text());
    by("file").value = "";
    const found = await ask("POST", "examples", entries);
    by("added").textContent = `Added ${found.ids.length} examples.`;
    await this.#refresh();
  }

  async #delete(id) {
    await ask("DELETE", `examples/${id}`);
    await this.examples.refresh();
    this.#counted();
    by("examples-title").focus();
  }

  async #personalize() {
    await this.adaptation.start();
    await this.#status();
    by("stop").focus();
  }

  async #change(path) {
    await ask("POST", path);
    await this.#refresh();
  }

  async #ended() {
    await this.#status();
    if (this.#probe) await this.#compare();
  }

  async #refresh() {
    await this.examples.refresh();
    this.#counted();
    await this.adaptation.follow();
    await this.#ended();
  }

  #counted() {
    const { count, strange } = this.examples;
    by("count").textContent = strange
      ? `The ${strange} stored examples are another model\u2019s.`
      : count === 1
        ? "1 example."
        : `${count || "No"} examples.`;
    by("personalize").disabled = !count;
  }

  /** Says what is live, and why. */
  async #status() {
    const found = await ask("GET", "status");
    const personalized = found.live !== "initial";
    by("live").textContent = personalized
      ? `Live: personalized model, generation ${found.live}`
      : "Live: initial model";
    by("live").className = personalized ? "kept" : "";
    by("live-title").textContent = personalized ? "Personalized model" : "Live model, not personalized";
    const stopped = this.adaptation.outcome?.decision === "unfinished";
    by("decision").className = stopped ? "" : (found.decision ?? "");
    by("verdict").textContent = stopped ? "Stopped." : VERDICTS[found.decision ?? "none"];
    const reason = stopped ? this.adaptation.outcome.reason : found.reason;
    by("reason").textContent = [reason, ...found.warnings].filter(Boolean).join(". ");
    by("roll-back").disabled = !found.generations || this.adaptation.running;
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

const VERDICTS = {
  keep: "Kept: the personalized model is live.",
  revert: "Reverted: the initial model is live.",
  none: "Nothing was decided yet: the initial model is live.",
};

function failed(error) {
  by("error").textContent = error.message;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`That is no JSON (${error.message}).`, { cause: error });
  }
}

// Another token needs another start.
addEventListener("hashchange", () => location.reload());
Page.open().catch((error) => {
  by("model").textContent = "";
  failed(error);
});
