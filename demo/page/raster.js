// Strokes as the image that a model has learned from: EMNIST's way of centring.

const INK = 20 / 28; // longest side of the strokes, of the image's shorter one
const PEN = 2.2 / 28; // width of a stroke, likewise
const SMALLEST = 0.3; // a stroke shorter than this share of the paper stays small: a dot
const FINE = 8; // subpixels of a pixel, each way

/**
 * Centres strokes by their bounding box, scales its longer side, and inks them smoothly.
 *
 * @param {{x: number, y: number}[][]} strokes on a paper of 1 by 1
 * @param {number} height of the image
 * @param {number} width of the image
 * @returns {number[]} ink of each pixel, 0 to 255, row by row
 */
export function pixelsOf(strokes, height, width) {
  const side = Math.min(height, width);
  const points = strokes.flat();
  const [left, right] = ends(points.map(({ x }) => x));
  const [top, bottom] = ends(points.map(({ y }) => y));
  const scale = (INK * side) / Math.max(right - left, bottom - top, SMALLEST);
  const ink = new OffscreenCanvas(width * FINE, height * FINE).getContext("2d");
  ink.scale(FINE, FINE);
  ink.translate(width / 2, height / 2);
  ink.scale(scale, scale);
  ink.translate(-(left + right) / 2, -(top + bottom) / 2);
  draw(ink, strokes, (PEN * side) / scale);
  return averaged(ink, height, width);
}

/** Strokes as lines of a round pen. */
export function draw(ink, strokes, pen) {
  Object.assign(ink, { lineWidth: pen, lineCap: "round", lineJoin: "round" });
  for (const [first, ...rest] of strokes) {
    ink.beginPath();
    ink.moveTo(first.x, first.y);
    // A point without a line would leave no ink.
    for (const { x, y } of rest.length ? rest : [first]) ink.lineTo(x, y);
    ink.stroke();
  }
}

/** Shows 0 to 255, row by row, on a canvas. */
export function paint(canvas, pixels, height, width) {
  Object.assign(canvas, { height, width });
  const ink = canvas.getContext("2d");
  const image = ink.createImageData(width, height);
  pixels.forEach((value, at) => image.data.set([value, value, value, 255], 4 * at));
  ink.putImageData(image, 0, 0);
}

function averaged(ink, height, width) {
  const { data } = ink.getImageData(0, 0, width * FINE, height * FINE);
  const sums = new Array(height * width).fill(0);
  for (let row = 0; row < height * FINE; row++) {
    for (let column = 0; column < width * FINE; column++) {
      const at = Math.floor(row / FINE) * width + Math.floor(column / FINE);
      sums[at] += data[4 * (row * width * FINE + column) + 3];
    }
  }
  return sums.map((sum) => Math.round(sum / FINE ** 2));
}

function ends(values) {
  return [Math.min(...values), Math.max(...values)];
}
