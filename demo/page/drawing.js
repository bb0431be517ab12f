// A paper to draw on with a mouse, a pen, a finger, or the arrow keys.

import { draw } from "./raster.js";

const STEP = 0.04; // of the paper: what an arrow key moves the pen
const PEN = 0.07; // width of a stroke, of the paper
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Strokes on a canvas, in shares of its side. */
export class Drawing {
  /** @type {{x: number, y: number}[][]} */
  strokes = [];
  #pen = { x: 0.5, y: 0.5 }; // of the arrow keys
  #lowered = false;
  #keys = false; // whether the arrow keys were the last to draw

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {() => void} onChange told when the drawing has changed
   * @param {(text?: string) => void} onPen told where the arrow keys have moved the pen
   */
  constructor(canvas, onChange, onPen) {
    this.canvas = canvas;
    this.onChange = onChange;
    this.onPen = onPen;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.#lowered = this.#keys = false;
      this.strokes.push([]);
      this.#to(this.#place(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!canvas.hasPointerCapture(event.pointerId)) return;
      for (const part of event.getCoalescedEvents?.() ?? [event]) this.#to(this.#place(part));
    });
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => this.#show());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#show());
    this.#show();
  }

  get empty() {
    return !this.strokes.length;
  }

  /** Makes it blank again. */
  clear() {
    this.strokes = [];
    this.#changed();
  }

  /** Takes the last stroke back. */
  undo() {
    this.strokes.pop();
    this.#changed();
  }

  #changed() {
    this.#lowered = this.#keys = false;
    this.#show();
    this.onPen();
    this.onChange();
  }

  #place({ clientX, clientY }) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    return { x: clamped((clientX - left) / width), y: clamped((clientY - top) / height) };
  }

  #to(place) {
    this.strokes.at(-1)?.push(place);
    this.#show();
    this.onChange();
  }

  /** Arrows move the pen; space lowers and lifts it. */
  #key(event) {
    const move = MOVES[event.key];
    if (!move && event.key !== " ") return;
    event.preventDefault();
    this.#keys = true;
    if (!move) {
      this.#lowered = !this.#lowered;
      if (this.#lowered) this.strokes.push([]);
    } else {
      const [right, down] = move;
      this.#pen = { x: clamped(this.#pen.x + STEP * right), y: clamped(this.#pen.y + STEP * down) };
    }
    if (this.#lowered) this.#to(this.#pen);
    else this.#show();
    const [column, row] = [this.#pen.x, this.#pen.y].map((at) => Math.round(at / STEP));
    this.onPen(`Pen ${this.#lowered ? "down" : "up"} at column ${column}, row ${row} of 25.`);
  }

  #show() {
    const { width, height } = this.canvas;
    const ink = this.canvas.getContext("2d");
    ink.setTransform(1, 0, 0, 1, 0, 0);
    ink.clearRect(0, 0, width, height);
    ink.setTransform(width, 0, 0, height, 0, 0);
    ink.strokeStyle = getComputedStyle(this.canvas).color;
    draw(ink, this.strokes, PEN);
    if (!this.#keys || document.activeElement !== this.canvas) return;
    ink.beginPath();
    ink.lineWidth = 0.008;
    ink.arc(this.#pen.x, this.#pen.y, this.#lowered ? 0.06 : 0.04, 0, 2 * Math.PI);
    ink.stroke();
  }
}

function clamped(value) {
  return Math.min(Math.max(value, 0), 1);
}
