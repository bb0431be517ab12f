// A canvas to draw on with a pen, a finger, a mouse, or the arrow keys.

const STEP = 10; // pixels an arrow key moves the pen
const WIDTH = 22; // of a stroke, pixels
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** A drawing of white ink on black, whatever the page's colours are. */
export class Drawing {
  #at = null; // where the pen is; null away from the canvas
  #down = false;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {() => void} onChange told when a stroke ends
   * @param {(text: string) => void} onPen told where the arrow keys have moved the pen
   */
  constructor(canvas, onChange, onPen) {
    this.canvas = canvas;
    this.ink = canvas.getContext("2d", { willReadFrequently: true });
    this.onChange = onChange;
    this.onPen = onPen;
    this.clear();
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.#at = null;
      this.#stroke(event.offsetX, event.offsetY);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (canvas.hasPointerCapture(event.pointerId)) this.#stroke(event.offsetX, event.offsetY);
    });
    canvas.addEventListener("pointerup", () => this.onChange());
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Makes it blank again. */
  clear() {
    this.ink.fillStyle = "black";
    this.ink.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.empty = true;
  }

  /**
   * The drawing in another size.
   *
   * @param {number} width
   * @param {number} height
   * @returns {Float32Array} of the ink, 0 to 1, row by row
   */
  pixels(width, height) {
    const small = new OffscreenCanvas(width, height).getContext("2d");
    small.imageSmoothingQuality = "high";
    small.drawImage(this.canvas, 0, 0, width, height);
    const { data } = small.getImageData(0, 0, width, height);
    return Float32Array.from({ length: width * height }, (_, at) => data[4 * at] / 255);
  }

  #stroke(x, y) {
    const scale = this.canvas.width / this.canvas.clientWidth;
    this.#line(x * scale, y * scale);
  }

  #line(x, y) {
    const [fromX, fromY] = this.#at ?? [x, y];
    Object.assign(this.ink, { strokeStyle: "white", lineWidth: WIDTH, lineCap: "round" });
    this.ink.beginPath();
    this.ink.moveTo(fromX, fromY);
    this.ink.lineTo(x, y);
    this.ink.stroke();
    this.#at = [x, y];
    this.empty = false;
  }

  /** Arrows move the pen; space lowers and lifts it. */
  #key(event) {
    const move = MOVES[event.key];
    if (!move && event.key !== " ") return;
    event.preventDefault();
    const { width, height } = this.canvas;
    const [x, y] = this.#at ?? [width / 2, height / 2];
    const [right, down] = move ?? [0, 0];
    const to = [clamped(x + STEP * right, width), clamped(y + STEP * down, height)];
    if (!move) this.#down = !this.#down;
    if (this.#down) this.#line(...to);
    else this.#at = to;
    if (!move && !this.#down) this.onChange();
    const [column, row] = to.map((at) => Math.round(at / STEP));
    this.onPen(`Pen ${this.#down ? "down" : "up"} at column ${column}, row ${row}.`);
  }
}

function clamped(value, highest) {
  return Math.min(Math.max(value, 0), highest);
}
