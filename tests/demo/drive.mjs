// Uses the page of `fedp demo` in headless Chromium as a person does, with a mouse and a
// keyboard. One JSON object in on stdin, one out on stdout, for test_page.py.
//
//   url          of the page, its token included
//   steps        what to do, in order: [name, ...arguments] of an entry of ACTIONS
//   screenshots  folder for pictures of the page; none without

import { join } from "node:path";
import { text } from "node:stream/consumers";

import { withBrowser } from "../../examples/web/tests/browser.mjs";

const PATIENCE = 60_000; // ms for the page to do one thing

const given = JSON.parse(await text(process.stdin));

/** What the page said after each step; an error in it, or a strange host, is one here. */
async function work(browser) {
  const page = await browser.newPage();
  await page.setViewport({ width: 1120, height: 900 });
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(error.message));
  page.on("console", (line) => line.type() === "error" && wrong.push(line.text()));
  page.on("request", (request) => {
    const { protocol, origin } = new URL(request.url());
    if (protocol.startsWith("http") && origin !== new URL(given.url).origin) {
      wrong.push(`${request.url()} is not of this machine`);
    }
  });
  page.setDefaultTimeout(PATIENCE);
  await page.goto(given.url);
  await page.waitForSelector("main:not([inert])");
  const seen = [];
  for (const [name, ...rest] of given.steps) {
    try {
      await ACTIONS[name](page, ...rest);
    } catch (error) {
      const now = JSON.stringify(await read(page));
      throw new Error(`${name} ${rest}: ${error.message}; the page says ${now}`, { cause: error });
    }
    seen.push(await read(page));
  }
  return { browser: await browser.version(), seen, wrong };
}

const ACTIONS = {
  /** Strokes with the mouse, in shares of the paper. */
  async draw(page, strokes) {
    const paper = await page.$("#canvas");
    await paper.scrollIntoView();
    const { x, y, width, height } = await paper.boundingBox();
    const at = ([right, down]) => [x + width * right, y + height * down];
    for (const [first, ...rest] of strokes) {
      await page.mouse.move(...at(first));
      await page.mouse.down();
      for (const place of rest) await page.mouse.move(...at(place), { steps: 4 });
      await page.mouse.up();
    }
    await says(page, "#shown", "Answers to your drawing.");
    await page.waitForNetworkIdle({ idleTime: 100 });
  },
  async keys(page, names) {
    await page.focus("#canvas");
    for (const name of names) await page.keyboard.press(name);
    await says(page, "#shown", "Answers to your drawing.");
  },
  async label(page, name) {
    const before = (await page.$$("#list li")).length;
    const value = await page.$$eval("#label option", labelled, name);
    await page.select("#label", value);
    await page.click("#add");
    await page.waitForFunction((n) => document.querySelectorAll("#list li").length > n, {}, before);
    await says(page, "#shown", "something");
  },
  async load(page, path) {
    await (await page.$("#file")).uploadFile(path);
  },
  async click(page, selector) {
    await page.click(selector);
  },
  async type(page, selector, words) {
    await page.type(selector, words);
  },
  async says(page, selector, words) {
    await says(page, selector, words);
  },
  async reload(page) {
    await page.reload();
    await page.waitForSelector("main:not([inert])");
  },
  async picture(page, name) {
    if (!given.screenshots) return;
    for (const theme of ["light", "dark"]) {
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }]);
      const path = join(given.screenshots, `${name}-${theme}.png`);
      await page.screenshot({ path, fullPage: true });
    }
  },
  async size(page, width, height) {
    await page.setViewport({ width, height });
  },
};

function labelled(options, name) {
  return options.find((option) => option.textContent === name).value;
}

async function says(page, selector, words) {
  await page.waitForFunction(
    (where, what) => document.querySelector(where).textContent.includes(what),
    { polling: 20 },
    selector,
    words,
  );
}

/** What a person sees. */
async function read(page) {
  return page.evaluate(() => {
    const texts = (selector) =>
      Array.from(document.querySelectorAll(selector), (found) => found.textContent.trim());
    const [live] = texts("#live");
    return {
      live,
      error: texts("#error")[0],
      verdict: texts("#verdict")[0],
      reason: texts("#reason")[0],
      initial: texts("#initial li"),
      personalized: texts("#personalized li"),
      examples: texts("#list li").length,
      curve: document.getElementById("curve").getAttribute("aria-label"),
      lines: document.querySelectorAll("#curve path:is(.judging, .adapting)").length,
      stopping: !document.getElementById("stop").hidden,
      unnamed: Array.from(
        document.querySelectorAll("main :is(button, select, input, textarea)"),
        (control) => control.id || control.className,
      ).filter((_, at) => {
        const control = document.querySelectorAll("main :is(button, select, input, textarea)")[at];
        const named = control.labels?.length || control.textContent || control.ariaLabel;
        return !named && !control.getAttribute("aria-labelledby");
      }),
    };
  });
}

console.log(JSON.stringify(await withBrowser(work)));
