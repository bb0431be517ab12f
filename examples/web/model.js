// One set of live weights: an artifact's signatures over LiteRT.js.

import { Tensor, loadAndCompile, loadLiteRt } from "@litertjs/core";

const WASM = new URL("./node_modules/@litertjs/core/wasm/", import.meta.url);
const NOTHING = new Int32Array(1);

/** @type {Promise<unknown> | undefined} */
let runtime;

/**
 * @typedef {Float32Array | Int32Array} Row one example's numbers, or a weight's
 * @typedef {{losses: number[], correct: number[]}} Score of some examples
 */

/** Trains, evaluates and predicts. It starts as the initial model. */
export class Model {
  #compiled;

  /** Use `Model.open`. */
  constructor(manifest, compiled) {
    this.manifest = manifest;
    this.#compiled = compiled;
  }

  /**
   * Loads an artifact into a new interpreter.
   *
   * @param {import("./artifact.js").Artifact} artifact
   * @returns {Promise<Model>}
   */
  static async open({ content, manifest }) {
    if (!manifest.fixed_batch) {
      throw new Error("LiteRT.js takes fixed shapes alone: export with --fixed-batch");
    }
    runtime ??= loadLiteRt(WASM.pathname);
    await runtime;
    return new Model(manifest, await loadAndCompile(content, { accelerator: "wasm" }));
  }

  /**
   * What `trainStep` and `evaluate` take: the inputs, or the frozen part's output.
   *
   * @param {Row[]} x
   * @returns {Promise<Row[]>}
   */
  async features(x) {
    if (!this.manifest.features_shape) return x;
    return this.#parts(x.length, async (from, to) => {
      const { features } = await this.#run("features", { x: this.#packed(x.slice(from, to)) });
      return rows(features, product(this.manifest.features_shape));
    });
  }

  /**
   * One step of the client optimizer on at most B examples.
   *
   * @param {Row[]} x what `features` gave
   * @param {Row[]} y
   * @param {number} learningRate
   * @returns {Promise<number>} the mean loss before the step
   */
  async trainStep(x, y, learningRate) {
    const weight = new Float32Array(this.manifest.batch_size).fill(1, 0, x.length);
    const { loss } = await this.#run("train", {
      x: this.#packed(x),
      y: this.#packed(y),
      weight,
      learning_rate: new Float32Array([learningRate]),
    });
    return loss[0];
  }

  /**
   * Loss of each example, and the share of its labels that are hit, 0 to 1.
   *
   * @param {Row[]} x what `features` gave
   * @param {Row[]} y
   * @returns {Promise<Score>}
   */
  async evaluate(x, y) {
    const found = await this.#parts(x.length, async (from, to) => {
      const inputs = { x: this.#packed(x.slice(from, to)), y: this.#packed(y.slice(from, to)) };
      const { loss, correct } = await this.#run("evaluate", inputs);
      return Array.from(loss, (value, at) => [value, correct[at]]);
    });
    return { losses: found.map(([loss]) => loss), correct: found.map(([, hit]) => hit) };
  }

  /**
   * Answers to inputs: class probabilities, or numbers.
   *
   * @param {Row[]} x
   * @returns {Promise<Row[]>}
   */
  async infer(x) {
    return this.#parts(x.length, async (from, to) => {
      const { output } = await this.#run("infer", { x: this.#packed(x.slice(from, to)) });
      return rows(output, output.length / this.manifest.batch_size);
    });
  }

  /** @returns {Promise<Row[]>} a copy of the live weights, in manifest order */
  async save() {
    const found = await this.#plain("save");
    return this.manifest.weights.map(({ name }) => found[name]);
  }

  /** Makes these weights the live ones; zeroes what the optimizer remembers. */
  async restore(weights) {
    const specs = this.manifest.weights;
    await this.#run("restore", Object.fromEntries(specs.map(({ name }, at) => [name, weights[at]])));
  }

  /** Goes back to the initial model; zeroes what the optimizer remembers. */
  async reset() {
    await this.#plain("reset");
  }

  /** Frees the interpreter, which nothing collects. */
  delete() {
    this.#compiled.delete();
  }

  async #plain(signature) {
    const [{ name }] = this.#compiled.signatures[signature].getInputDetails();
    return this.#run(signature, { [name]: NOTHING });
  }

  /** Tensors live in the wasm heap and are freed here, whatever happens. */
  async #run(signature, inputs) {
    const runner = this.#compiled.signatures[signature];
    const given = [];
    let answers = [];
    try {
      for (const { name, shape } of runner.getInputDetails()) {
        given.push(new Tensor(inputs[name], shape));
      }
      answers = await runner.run(given);
      const names = runner.getOutputDetails().map(({ name }) => name);
      return Object.fromEntries(names.map((name, at) => [name, answers[at].toTypedArray()]));
    } finally {
      for (const tensor of [...given, ...answers]) tensor.delete();
    }
  }

  /** Up to B rows as one array of B, the last ones zeros. */
  #packed(some) {
    const size = some[0].length;
    const batch = new some[0].constructor(this.manifest.batch_size * size);
    some.forEach((row, at) => batch.set(row, at * size));
    return batch;
  }

  /** What `call` gives for at most B examples at a time, without the rows that pad. */
  async #parts(count, call) {
    const found = [];
    for (let from = 0; from < count; from += this.manifest.batch_size) {
      const to = Math.min(from + this.manifest.batch_size, count);
      found.push(...(await call(from, to)).slice(0, to - from));
    }
    return found;
  }
}

/** The number of entries of a shape. */
export function product(shape) {
  return shape.reduce((size, axis) => size * axis, 1);
}

/** Splits an array into rows of one size. */
export function rows(array, size) {
  return Array.from({ length: array.length / size }, (_, at) =>
    array.slice(at * size, (at + 1) * size),
  );
}
