// What this browser keeps, in IndexedDB: a person's examples, and generations of weights,
// each bound to the artifact it was trained in. See docs/state.md for the same on a device.

import { hex } from "./artifact.js";
import { blobOf } from "./weights.js";

const KEPT_GENERATIONS = 3;
const CAPACITY = 1000; // examples

/**
 * @typedef {import("./model.js").Row} Row
 * @typedef {object} Example
 * @property {number} id
 * @property {Row} x
 * @property {Row} y
 * @typedef {object} Generation
 * @property {number} id
 * @property {string} artifact its SHA-256
 * @property {Row[] | null} weights null is the initial model
 * @property {string} hash of the weights
 * @property {import("./guard.js").Decision} decision
 * @property {string} created ISO 8601
 */

/** Examples and generations; every change is one transaction. */
export class State {
  /** Use `State.open`. */
  constructor(database, artifact) {
    this.database = database;
    this.artifact = artifact;
  }

  /**
   * Opens this origin's state for one artifact.
   *
   * @param {string} artifact its SHA-256
   * @param {string} [name] of the database
   * @returns {Promise<State>}
   */
  static async open(artifact, name = "fedp") {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => {
      for (const store of ["examples", "generations"]) {
        request.result.createObjectStore(store, { keyPath: "id", autoIncrement: true });
      }
    };
    const database = await settled(request);
    database.onversionchange = () => database.close();
    return new State(database, artifact);
  }

  /** @returns {Promise<Example[]>} oldest first */
  async examples() {
    return this.#all("examples");
  }

  /**
   * Stores examples; the oldest go where there are more than the capacity.
   *
   * @param {{x: Row, y: Row}[]} some
   */
  async addExamples(some) {
    await this.#change(["examples"], async (examples) => {
      for (const { x, y } of some) examples.add({ x, y });
      const ids = await settled(examples.getAllKeys());
      for (const id of ids.slice(0, Math.max(0, ids.length - CAPACITY))) examples.delete(id);
    });
  }

  /** @param {number} id */
  async deleteExample(id) {
    await this.#change(["examples"], async (examples) => examples.delete(id));
  }

  /**
   * The live generation: the newest of this artifact whose weights are undamaged.
   *
   * @returns {Promise<Generation | undefined>}
   */
  async live() {
    for (const found of (await this.generations()).reverse()) {
      if ((await hashOf(found.weights)) === found.hash) return found;
    }
    return undefined;
  }

  /** @returns {Promise<Generation[]>} of this artifact, oldest first */
  async generations() {
    const all = await this.#all("generations");
    return all.filter(({ artifact }) => artifact === this.artifact);
  }

  /**
   * Makes an outcome the live generation; the oldest go.
   *
   * @param {Row[] | null} weights
   * @param {import("./guard.js").Decision} decision
   */
  async keep(weights, decision) {
    const created = new Date().toISOString();
    const hash = await hashOf(weights);
    await this.#change(["generations"], async (generations) => {
      generations.add({ artifact: this.artifact, weights, hash, decision, created });
      const ids = await settled(generations.getAllKeys());
      for (const id of ids.slice(0, -KEPT_GENERATIONS)) generations.delete(id);
    });
  }

  /** Forgets the newest generation of this artifact; the one before it is live. */
  async rollBack() {
    const newest = (await this.generations()).at(-1);
    if (newest) await this.#change(["generations"], async (store) => store.delete(newest.id));
  }

  /** Deletes all examples and everything learned from them, of every artifact. */
  async forget() {
    await this.#change(["examples", "generations"], async (...stores) => {
      for (const store of stores) store.clear();
    });
  }

  async #all(store) {
    return settled(this.database.transaction(store).objectStore(store).getAll());
  }

  /** Runs a change; it is on disk, or nothing of it, when this settles. */
  async #change(names, work) {
    const change = this.database.transaction(names, "readwrite", { durability: "strict" });
    const done = new Promise((resolve, reject) => {
      change.oncomplete = resolve;
      change.onabort = () => reject(change.error ?? new Error("the change was given up"));
    });
    await work(...names.map((name) => change.objectStore(name)));
    await done;
  }
}

/** SHA-256 of weights, in hex; empty for the initial model. */
async function hashOf(weights) {
  if (!weights) return "";
  return hex(await crypto.subtle.digest("SHA-256", await blobOf(weights)));
}

function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
