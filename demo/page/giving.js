// What a person gives: a drawing, or numbers where the model takes no image.

import { Drawing } from "./drawing.js";
import { parsed } from "./parsed.js";
import { paint, pixelsOf } from "./raster.js";

/** A paper, and beside it what the model sees. */
export class Paper {
  /**
   * @param {(id: string) => any} by an element by its id
   * @param {any} model what the server says of it
   * @param {(entry: any) => void} onGiven told of the drawing; null is a blank one
   */
  constructor(by, model, onGiven) {
    Object.assign(this, { by, onGiven, size: model.drawing });
    const remembered = `inverted ${model.sha256}`;
    by("inverted").checked = localStorage.getItem(remembered) === "yes";
    by("inverted").addEventListener("change", ({ target }) => {
      localStorage.setItem(remembered, target.checked ? "yes" : "no");
      this.#give();
    });
    const pen = by("pen").textContent;
    this.drawing = new Drawing(
      by("canvas"),
      () => this.#give(),
      (text) => (by("pen").textContent = text ?? pen),
    );
    by("undo").addEventListener("click", () => this.drawing.undo());
    by("clear").addEventListener("click", () => this.clear());
    by("draw").hidden = false;
    this.#give();
  }

  clear() {
    this.drawing.clear();
  }

  #give() {
    const [height, width] = this.size;
    const { empty, strokes } = this.drawing;
    const ink = empty ? new Array(height * width).fill(0) : pixelsOf(strokes, height, width);
    const pixels = this.by("inverted").checked ? ink.map((value) => 255 - value) : ink;
    paint(this.by("seen"), pixels, height, width);
    this.onGiven(empty ? null : { pixels });
  }
}

/** A field for numbers. */
export class Numbers {
  /**
   * @param {(id: string) => any} by an element by its id
   * @param {any} model what the server says of it
   * @param {(entry: any) => void} onGiven told of an input; null is none
   * @param {(error: Error) => void} onError told what is no JSON
   */
  constructor(by, model, onGiven, onError) {
    Object.assign(this, { by, onGiven });
    by("no-image").textContent =
      "The model\u2019s input is no grey image, so there is nothing to draw: give its " +
      `numbers, as a list of shape [${model.input_shape}].`;
    by("predict").addEventListener("click", () => {
      try {
        onGiven({ x: parsed(by("input").value) });
      } catch (error) {
        onError(error);
      }
    });
    by("type").hidden = false;
  }

  clear() {
    this.by("input").value = "";
    this.onGiven(null);
  }
}
