// Drives the page in headless Chromium. One JSON object in on stdin, one out on stdout;
// tests/examples/test_web.py compares what comes out with Python's device runtime.
//
//   artifact     path of the file to serve
//   x, y         examples: numbers and labels, a row each, as JSON for the page has them
//   trials       of the evidence: numbers of the examples that adapt and that judge
//   orders       [adaptation][epoch] -> order of its examples
//   vectors      guard vectors for the page's guard
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

async function ready(page) {
  await page.waitForSelector("main:not([inert])").catch(async () => {
    throw new Error(await page.$eval("#model", (line) => line.textContent));
  });
}

/** In the page: the same examples, folds and orders as Python's, step by step. */
async function compare({ x, y, trials, orders, vectors }) {
  const load = (name) => import(new URL(name, location.href).href);
  const { fetchArtifact } = await load("artifact.js");
  const { Model } = await load("model.js");
  const { personalize } = await load("personalize.js");
  const { decide } = await load("guard.js");
  const { inputOf, labelOf } = await load("examples.js");
  const { getGlobalLiteRt } = await load("node_modules/@litertjs/core/dist/index.js");
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

  // Tensors that are not freed show as growth, and slow steps as time.
  const features = await model.features(inputs);
  const size = artifact.manifest.batch_size;
  const batch = [features.slice(0, size), labels.slice(0, size)];
  const times = [];
  let settled = 0;
  for (let step = 0; step < 400; step++) {
    const started = performance.now();
    await model.trainStep(...batch, 0.001);
    await model.evaluate(...batch);
    times.push(performance.now() - started);
    if (step === 20) settled = heap();
  }
  const grown = heap() - settled;
  model.delete();
  judge.delete();
  const plain = (rows) => rows.map((row) => Array.from(row));
  return {
    sha256: artifact.manifest.sha256,
    losses: outcome.losses,
    evidence: outcome.evidence,
    decision: outcome.decision,
    weights: outcome.weights && plain(outcome.weights),
    kept: outcome.weights ? restored.every((w, at) => w.every((v, n) => v === outcome.weights[at][n])) : null,
    before: plain(before),
    again: plain(again),
    after: plain(after),
    decisions: vectors.map(({ evidence, policy }) => decide(evidence, policy)),
    step_ms: times.toSorted((a, b) => a - b)[times.length / 2],
    grown,
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
  await page.click("#roll-back");
  await idle(page, () => document.getElementById("reason").textContent.startsWith("Nothing"));
  seen.rolled_back = await read(page);
  page.once("dialog", (dialog) => dialog.accept());
  await page.click("#forget");
  await idle(page, () => document.querySelectorAll("#list li").length === 0);
  await page.reload();
  await ready(page);
  seen.forgotten = await read(page);
  return seen;
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
