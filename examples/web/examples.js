// A person's examples as the signatures take them; see device_runtime/examples.py.

import { product } from "./model.js";

/** @typedef {import("./model.js").Row} Row */

/**
 * Reads examples from JSON: a list of {"x": numbers, "y": class, or numbers}, lists
 * nested as the shapes are or flat, a class by its name or its number.
 *
 * @param {string} text
 * @param {any} manifest
 * @returns {{x: Row, y: Row}[]}
 */
export function examplesFrom(text, manifest) {
  let found;
  try {
    found = JSON.parse(text);
  } catch (error) {
    throw new Error(`not JSON (${error.message}): give a list of {"x": ..., "y": ...}`);
  }
  if (!Array.isArray(found)) throw new Error('give a list of {"x": ..., "y": ...}');
  return found.map((entry, at) => {
    try {
      return { x: inputOf(entry?.x, manifest), y: labelOf(entry?.y, manifest) };
    } catch (error) {
      throw new Error(`example ${at}: ${error.message}`, { cause: error });
    }
  });
}

/** One input as the model takes it. */
export function inputOf(values, manifest) {
  const shape = manifest.input_shape;
  const [lowest, highest] = manifest.tokens ? [0, manifest.tokens - 1] : [-Infinity, Infinity];
  const row = numbers(values, "x", shape, manifest.input_dtype);
  const wrong = row.find((value) => value < lowest || value > highest);
  if (wrong !== undefined) throw new Error(`token ${wrong}; allowed are ${lowest} to ${highest}`);
  return row;
}

/** One label as the model takes it. */
export function labelOf(value, manifest) {
  const { loss, shape } = manifest.labels;
  if (loss === "mean_squared_error") return numbers(value, "y", shape, "float32");
  const classes = manifest.classes;
  const labels = [value].flat(Infinity).map((one) => {
    const label = typeof one === "string" ? classes.indexOf(one) : one;
    const lowest = shape.length ? -1 : 0; // -1: no label at this step
    if (Number.isInteger(label) && label >= lowest && label < classes.length) return label;
    throw new Error(`label ${JSON.stringify(one)}; allowed are ${classes.join(", ")}`);
  });
  return numbers(labels, "y", shape, "int32");
}

function numbers(values, name, shape, dtype) {
  const flat = [values].flat(Infinity);
  const whole = dtype === "int32";
  if (flat.length !== product(shape)) {
    throw new Error(`${name} has ${flat.length} numbers; the model takes [${shape}]`);
  }
  if (!flat.every(whole ? Number.isInteger : Number.isFinite)) {
    throw new Error(`${name} has what is no ${whole ? "whole " : ""}number`);
  }
  return whole ? Int32Array.from(flat) : Float32Array.from(flat);
}
