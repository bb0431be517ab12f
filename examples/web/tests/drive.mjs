// Drives the page in headless Chromium. One JSON object in on stdin, one out on stdout;
// tests/examples/test_web.py compares what comes out with Python's device runtime.
//
//   artifact     path of the file to serve
//   x, y         examples: numbers and labels, a row each, as JSON for the page has them
//   trials       of the evidence: numbers of the examples that adapt and that judge
//   orders       [adaptation][epoch] -> order of its examples
//   vectors      of the guard, for the page's guard
//   drawn        whether to draw examples, too
//   steps        how many more, for their time and the wasm heap
//   screenshots  folder for pictures of the page; none without

import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";

import { serve } from "../serve.mjs";
import { withBrowser } from "./browser.mjs";

const PATIENCE = 60_000; // ms for the page to do one thing

const given = JSON.parse(await text(process.stdin));
const server = await serve(given.artifact);
try {
  const address = `http://127.0.0.1:${server.address().port}/`;
  const found = await withBrowser(async (browser) => ({
    browser: await browser.version(),
    compared: await onPage(browser, address, (page) => page.evaluate(compare, given)),
    used: await onPage(browser, address, (page) => use(page)),
  }));
  console.log(JSON.stringify(found));
} finally {
  server.closeAllConnections();
  server.close();
}

/** Opens the page in a profile of its own; an error or a strange host in it is one here. */
async function onPage(browser, address, work) {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(error.message));
  page.on("requestfailed", (request) => wrong.push(`${request.url()} failed`));
  page.on("request", (request) => {
    const { protocol, origin } = new URL(request.url());
    if (protocol.startsWith("http") && origin !== new URL(address).origin) {
      wrong.push(`${request.url()} is not of this machine`);
    }
  });
  page.setDefaultTimeout(PATIENCE);
  await page.goto(address);
  await ready(page);
  const found = await work(page);
  await context.close();
  if (wrong.length) throw new Error(wrong.join("; "));
  return found;
}

/** Waits for the page to open the artifact, or to say why it does not. */
async function ready(page) {
  await page.waitForSelector("main:not([inert]), #model[role=alert]");
  const refusal = await page.$("#model[role=alert]");
  if (refusal) throw new Error(await refusal.evaluate((line) => line.textContent));
}

/** In the page: the same examples, folds and orders as Python's, step by step. */
async function compare({ x, y, trials, orders, vectors, steps }) {
  const load = (name) => import(new URL(name, location.href).href);
  const { fetchArtifact } = await load("artifact.js");
  const { Model } = await load("model.js");
  const { personalize } = await load("personalize.js");
  const { decide } = await load("guard.js");
  const { inputOf, labelOf } = await load("examples.js");
  const { evidenceOf } = await load("tests/evidence.mjs");
  const { Tensor, getGlobalLiteRt } = await load("node_modules/@litertjs/core/dist/index.js");
  const heap = () => getGlobalLiteRt().liteRtWasm.HEAPU8.length;

  const artifact = await fetchArtifact("model.tflite");
  const [model, judge] = [await Model.open(artifact), await Model.open(artifact)];
  const inputs = x.map((values) => inputOf(values, artifact.manifest));
  const labels = y.map((value) => labelOf(value, artifact.manifest));
  const chance = { trials, order: (at) => (epoch) => orders[at][epoch] };
  const before = await judge.infer(inputs);
  const outcome = await personalize(model, judge, inputs, labels, { chance });
  const again = await judge.infer(inputs);
  if (outcome.weights) await model.restore(outcome.weights);
  const after = await model.infer(inputs);
  const restored = await model.save();

  // A step has 4 inputs and an output, an evaluation 2 and 2: all are to be freed.
  let freed = 0;
  const { delete: free } = Tensor.prototype;
  Tensor.prototype.delete = function () {
    freed++;
    free.call(this);
  };
  const features = await model.features(inputs);
  const size = artifact.manifest.batch_size;
  const batch = [features.slice(0, size), labels.slice(0, size)];
  const times = [];
  let settled = 0;
  for (let step = 0; step < steps; step++) {
    const started = performance.now();
    await model.trainStep(...batch, 0.001);
    times.push(performance.now() - started);
    await model.evaluate(...batch);
    if (step === 20) settled = heap();
  }
  const grown = heap() - settled;
  model.delete();
  judge.delete();
  const plain = (rows) => rows.map((row) => Array.from(row));
  const { weights } = outcome;
  return {
    sha256: artifact.manifest.sha256,
    losses: outcome.losses,
    evidence: outcome.evidence,
    decision: outcome.decision,
    weights: weights && plain(weights),
    kept: weights?.every((array, at) => array.every((value, n) => value === restored[at][n])),
    before: plain(before),
    again: plain(again),
    after: plain(after),
    decisions: vectors.map(({ evidence, policy }) => decide(evidenceOf(evidence), policy)),
    step_ms: times.toSorted((a, b) => a - b)[times.length / 2],
    grown,
    kept_tensors: 9 * steps - freed,
  };
}

/** As a person uses it: load, personalize, reload, roll back, forget. */
async function use(page) {
  const file = join(tmpdir(), "examples.json");
  const examples = given.x.map((values, at) => ({ x: values, y: given.y[at] }));
  await writeFile(file, JSON.stringify(examples));
  const seen = {};
  await picture(page, "empty");
  await (await page.$("#file")).uploadFile(file);
  await idle(page, () => document.querySelectorAll("#list li").length > 0);
  await page.click("#list button");
  await idle(page, () => !document.getElementById("answers").hidden);
  seen.loaded = await read(page);
  await page.click("#personalize");
  await picture(page, "adapting");
  await idle(page, () => document.getElementById("reason").textContent.includes("examples"));
  seen.personalized = await read(page);
  await picture(page, "personalized");
  await page.reload();
  await ready(page);
  await page.click("#list button");
  await idle(page, () => !document.getElementById("answers").hidden);
  seen.reloaded = await read(page);
  seen.other_artifact = await page.evaluate(otherArtifact);
  await page.evaluate(damage);
  await page.reload();
  await ready(page);
  seen.damaged = await read(page);
  await page.click("#list button");
  await idle(page, () => !document.getElementById("answers").hidden);
  await page.click("#roll-back");
  await idle(page, () => document.getElementById("roll-back").disabled);
  seen.rolled_back = await read(page);
  await forget(page);
  if (given.drawn) await draw(page);
  else await loadAlike(page);
  await page.click("#personalize");
  await idle(page, () => !document.getElementById("roll-back").disabled);
  seen.reverted = await read(page);
  await picture(page, "reverted");
  await forget(page);
  await page.reload();
  await ready(page);
  seen.forgotten = await read(page);
  return seen;
}

async function forget(page) {
  page.once("dialog", (dialog) => dialog.accept());
  await page.click("#forget");
  await idle(page, () => document.querySelectorAll("#list li").length === 0);
}

/** Two examples of one label, one drawn with the mouse and one with the keyboard. */
async function draw(page) {
  const canvas = await page.$("#canvas");
  const { x, y, width } = await canvas.boundingBox();
  await page.mouse.move(x + width / 4, y + width / 4);
  await page.mouse.down();
  await page.mouse.move(x + width / 2, y + width / 2, { steps: 4 });
  await page.mouse.up();
  await idle(page, () => document.getElementById("shown").textContent.includes("drew"));
  await page.click("#add");
  await idle(page, () => document.querySelectorAll("#list li").length === 1);
  await canvas.focus();
  for (const key of ["ArrowUp", "Space", "ArrowLeft", "ArrowLeft", "ArrowDown", "Space"]) {
    await page.keyboard.press(key);
  }
  await idle(page, () => document.getElementById("pen").textContent.includes("up at"));
  await page.click("#add");
  await idle(page, () => document.querySelectorAll("#list li").length === 2);
}

async function loadAlike(page) {
  const alike = { x: given.x[0], y: given.y[0] };
  const file = join(tmpdir(), "alike.json");
  await writeFile(file, JSON.stringify([alike, alike]));
  await (await page.$("#file")).uploadFile(file);
  await idle(page, () => document.querySelectorAll("#list li").length === 2);
}

/** In the page: what another artifact finds in this state. */
async function otherArtifact() {
  const { State } = await import(new URL("state.js", location.href).href);
  return (await (await State.open("0".repeat(64))).live()) ?? null;
}

/** In the page: another number in the newest stored weights. */
async function damage() {
  const request = indexedDB.open("fedp");
  await new Promise((resolve) => (request.onsuccess = resolve));
  const change = request.result.transaction("generations", "readwrite");
  const store = change.objectStore("generations");
  store.getAll().onsuccess = ({ target }) => {
    const newest = target.result.at(-1);
    newest.weights[0][0] += 1;
    store.put(newest);
  };
  await new Promise((resolve, reject) => {
    change.oncomplete = resolve;
    change.onabort = () => reject(new Error("there are no weights to damage"));
  });
  request.result.close();
}

/** Waits until the page has done what it was told. */
async function idle(page, done) {
  await page.waitForFunction(done);
  await page.waitForFunction(() => document.querySelector("main").ariaBusy !== "true");
  const error = await page.$eval("#error", (line) => line.textContent);
  if (error) throw new Error(error);
}

/** What the page says. */
async function read(page) {
  return page.evaluate(() => {
    const texts = (selector) =>
      Array.from(document.querySelectorAll(selector), (found) => found.textContent.trim());
    return {
      verdict: texts("#verdict")[0],
      reason: texts("#reason")[0],
      error: texts("#error")[0],
      examples: texts("#list li").length,
      answers: Array.from(document.querySelectorAll("#answers tbody tr"), (line) =>
        Array.from(line.children, (cell) => cell.textContent),
      ),
    };
  });
}

async function picture(page, name) {
  if (!given.screenshots) return;
  for (const theme of ["light", "dark"]) {
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }]);
    const path = join(given.screenshots, `${name}-${theme}.png`);
    await page.screenshot({ path, fullPage: true });
  }
}
