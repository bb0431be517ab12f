// What the page shows of examples and answers.

import { areClasses } from "./personalize.js";

const SHOWN = 5; // classes in the comparison

/** Whether an example has one class, and answers are shares of all classes. */
function isClassified(manifest) {
  return areClasses(manifest) && !manifest.labels.shape.length;
}

/** Whether a person can draw an example: one class, and an image of one channel. */
export function isDrawn(manifest) {
  const { input_shape: shape, input_dtype: dtype } = manifest;
  const plane = shape.length === 2 || (shape.length === 3 && shape[2] === 1);
  return isClassified(manifest) && dtype === "float32" && plane && shape[0] >= 8 && shape[1] >= 8;
}

/**
 * An entry of the list of examples.
 *
 * @param {import("./state.js").Example} example
 * @param {number} at its place in the list, from 0
 * @param {any} manifest
 * @param {(name: string) => void} onChoose
 * @returns {HTMLLIElement}
 */
export function exampleItem(example, at, manifest, onChoose) {
  const label = labelText(example.y, manifest);
  const name = `example ${at + 1}, ${label}`;
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.id = String(example.id);
  button.setAttribute("aria-label", `Look at ${name}`);
  if (isDrawn(manifest)) button.append(thumbnail(example.x, manifest.input_shape));
  button.append(label);
  button.addEventListener("click", () => onChoose(name));
  const item = document.createElement("li");
  item.append(button);
  return item;
}

/**
 * Fills the table of answers: the likeliest classes, or all numbers.
 *
 * @param {HTMLTableElement} table
 * @param {import("./model.js").Row} before of the initial model
 * @param {import("./model.js").Row} after of the live model
 * @param {any} manifest
 */
export function showAnswers(table, before, after, manifest) {
  const shares = isClassified(manifest);
  const best = (at) => Math.max(before[at], after[at]);
  const all = Array.from(before, (_, at) => at);
  const shown = shares ? all.sort((a, b) => best(b) - best(a)).slice(0, SHOWN) : all;
  const names = manifest.classes;
  const lines = shown.map((at) => {
    const line = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = names[at % names.length];
    line.append(head, cell(before, at, shares), cell(after, at, shares));
    return line;
  });
  table.tBodies[0].replaceChildren(...lines);
  table.hidden = false;
}

function labelText(y, manifest) {
  if (!areClasses(manifest)) return Array.from(y).join(", ");
  return Array.from(y, (label) => manifest.classes[label] ?? "-").join(" ");
}

function thumbnail(x, [height, width]) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const ink = canvas.getContext("2d");
  const image = ink.createImageData(width, height);
  x.forEach((value, at) => image.data.set([255 * value, 255 * value, 255 * value, 255], 4 * at));
  ink.putImageData(image, 0, 0);
  return canvas;
}

function cell(answers, at, shares) {
  const found = document.createElement("td");
  if (!shares) {
    found.textContent = answers[at].toFixed(4);
    return found;
  }
  const bar = document.createElement("span");
  bar.className = "bar";
  bar.style.setProperty("--share", String(answers[at]));
  found.append(bar, `${(100 * answers[at]).toFixed(1)} %`);
  if (answers[at] === Math.max(...answers)) found.className = "first";
  return found;
}
