// The training loss while it falls: a line for each adaptation.

const [WIDTH, HEIGHT] = [480, 170];
const [LEFT, TOP, BOTTOM] = [40, 10, 24]; // room for the numbers
const SVG = "http://www.w3.org/2000/svg";

/** A curve in an `<svg>`, which grows. */
export class Curve {
  /** Steps taken, loss or null, and the number of the trial. */
  points = [];

  /** @param {SVGSVGElement} svg */
  constructor(svg) {
    this.svg = svg;
    this.show(1);
  }

  /**
   * Draws all points.
   *
   * @param {number} steps how many there are at most
   */
  show(steps) {
    const finite = this.points.filter(([, loss]) => loss !== null);
    const highest = nice(Math.max(...finite.map(([, loss]) => loss), 0.1));
    const x = (step) => LEFT + ((WIDTH - LEFT - 8) * step) / Math.max(steps, 1);
    const y = (loss) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - loss / highest);
    const parts = [0, highest / 2, highest].flatMap((loss) => [
      part("path", { class: "grid", d: `M${LEFT} ${y(loss)}H${WIDTH - 8}` }),
      part("text", { x: LEFT - 6, y: y(loss) + 4, "text-anchor": "end" }, String(loss)),
    ]);
    if (finite.length) {
      const at = { x: WIDTH - 8, y: HEIGHT - 6, "text-anchor": "end" };
      parts.push(part("text", at, `${steps} steps`), part("text", { x: LEFT, y: HEIGHT - 6 }, "0"));
    }
    for (const line of lines(finite)) {
      const places = line.map(([step, loss]) => `${x(step).toFixed(1)} ${y(loss).toFixed(1)}`);
      // A single point is a dot: of a line without length, round ends are drawn.
      const d = `M${places.join("L")}${places.length === 1 ? "h0" : ""}`;
      parts.push(part("path", { class: line[0][2] ? "judging" : "adapting", d }));
    }
    this.svg.replaceChildren(...parts);
    this.svg.setAttribute("aria-label", told(finite, steps));
  }
}

/** Points of one adaptation each. */
function lines(points) {
  const found = [];
  for (const point of points) {
    if (found.at(-1)?.[0][2] === point[2]) found.at(-1).push(point);
    else found.push([point]);
  }
  return found;
}

function told(points, steps) {
  if (!points.length) return "Training loss: nothing yet";
  const [first, last] = [points[0], points.at(-1)].map(([, loss]) => loss.toFixed(3));
  return `Training loss: ${first} at first, ${last} after ${points.at(-1)[0]} of ${steps} steps`;
}

/** The next of 1, 2, 5, 10, ..., so that the axis seldom changes. */
function nice(value) {
  const ten = 10 ** Math.floor(Math.log10(value));
  return Number((([1, 2, 5].find((n) => n * ten >= value) ?? 10) * ten).toPrecision(3));
}

function part(name, attributes, text = "") {
  const found = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) found.setAttribute(key, String(value));
  found.textContent = text;
  return found;
}
