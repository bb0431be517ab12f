// What a model answers, as a short list.

const SHOWN = 3;

/**
 * Shows one model's answer.
 *
 * @param {HTMLOListElement} list
 * @param {any} answer [*label_shape, C]
 * @param {any} model what the server says of it
 */
export function show(list, answer, model) {
  list.replaceChildren(...items(answer, model));
}

/** Number of the best class; null where there is no such thing. */
export function best(answer, { are_classes, label_shape }) {
  return are_classes && !label_shape.length ? argmax(answer) : null;
}

function items(answer, { are_classes, label_shape, classes }) {
  if (!are_classes) {
    return answer.flat(Infinity).map((value, at) => plain(classes[at % classes.length], number(value)));
  }
  if (label_shape.length) {
    const names = answer.map((step) => classes[argmax(step)]);
    return [plain("Labels", names.every((n) => n.length === 1) ? names.join("") : names.join(" "))];
  }
  const order = answer.map((_, at) => at).sort((a, b) => answer[b] - answer[a]);
  return order.slice(0, SHOWN).map((at) => bar(classes[at], answer[at]));
}

function bar(name, share) {
  const item = plain(name, `${(100 * share).toFixed(1)} %`);
  item.style.setProperty("--share", String(share));
  item.className = "share";
  return item;
}

function plain(name, value) {
  const item = document.createElement("li");
  const [what, much] = ["strong", "span"].map((tag) => document.createElement(tag));
  what.textContent = name;
  much.textContent = value;
  item.append(what, " ", much);
  return item;
}

function argmax(values) {
  return values.indexOf(Math.max(...values));
}

function number(value) {
  return value === null ? "not a number" : value.toPrecision(5);
}
