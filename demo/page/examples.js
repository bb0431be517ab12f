// The stored examples: a list to look at, and to delete from.

import { ask } from "./api.js";
import { paint } from "./raster.js";

/** The list of examples, as the server has them. */
export class Examples {
  #items = new Map(); // by id, as they stand in the page
  #newest = 0;

  /**
   * @param {HTMLElement} list
   * @param {any} model what the server says of it
   * @param {(entry: any, name: string) => void} onLook told which one to predict
   * @param {(id: number) => void} onDelete told which one to delete
   */
  constructor(list, model, onLook, onDelete) {
    Object.assign(this, { list, model, onLook, onDelete });
  }

  /** Takes what is new from the server, and lets go of what is not there any more. */
  async refresh() {
    const found = await ask("GET", `examples?after=${this.#newest}`);
    for (const example of found.examples) {
      this.#items.set(example.id, this.#item(example));
      this.#newest = Math.max(this.#newest, example.id);
    }
    const there = new Set(found.ids);
    for (const id of this.#items.keys()) if (!there.has(id)) this.#items.delete(id);
    // Only what has changed is touched, so that the focus stays where it is.
    for (const item of [...this.list.children]) {
      if (this.#items.get(Number(item.dataset.id)) !== item) item.remove();
    }
    for (const item of this.#items.values()) if (!item.isConnected) this.list.prepend(item);
    this.count = found.ids.length;
    this.strange = found.strange;
  }

  #item({ id, x, y }) {
    const name = `example ${id}, ${this.#named(y)}`;
    const item = document.createElement("li");
    item.dataset.id = String(id);
    const look = button("look", `Look at ${name}`, () => this.onLook({ x }, name));
    if (this.model.drawing) {
      const ink = [x].flat(Infinity).map((value) => 255 * value);
      const picture = document.createElement("canvas");
      paint(picture, ink, ...this.model.drawing);
      look.append(picture);
    }
    look.append(this.#named(y));
    const remove = button("delete", `Delete ${name}`, () => this.onDelete(id));
    remove.append("\u00d7");
    item.append(look, remove);
    return item;
  }

  #named(y) {
    const { are_classes, classes } = this.model;
    const names = [y].flat(Infinity).map((one) => (are_classes ? (classes[one] ?? "-") : one));
    return names.every((one) => String(one).length === 1) ? names.join("") : names.join(" ");
  }
}

function button(kind, label, work) {
  const found = document.createElement("button");
  found.type = "button";
  found.className = kind;
  found.setAttribute("aria-label", label);
  found.addEventListener("click", work);
  return found;
}
