// Opens a report as a person does, offline. One JSON object in on stdin, one out on
// stdout; tests/browser/test_report.py says what it must be.
//
//   page         path of the HTML file
//   plot         id of a scatter plot in it
//   screenshots  folder for pictures of the page; none without

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";

import { withBrowser } from "./browser.mjs";

const PATIENCE = 60_000; // ms for the page to do one thing
const WIDE = { width: 1280, height: 900 };
const NARROW = { width: 360, height: 740 };

const given = JSON.parse(await text(process.stdin));
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core"), "utf8");
console.log(JSON.stringify(await withBrowser(look)));

async function look(browser) {
  const page = await browser.newPage();
  const asked = [];
  const wrong = [];
  page.setDefaultTimeout(PATIENCE);
  page.on("request", (request) => asked.push(request.url().slice(0, 80)));
  page.on("requestfailed", (request) => wrong.push(`${request.url().slice(0, 80)} failed`));
  page.on("pageerror", (error) => wrong.push(error.message));
  page.on("console", (line) => {
    if (["error", "warn"].includes(line.type())) wrong.push(line.text());
  });
  await page.setOfflineMode(true);
  await page.setViewport(WIDE);
  await page.goto(pathToFileURL(given.page).href);
  await page.waitForSelector(`#${given.plot} .point`);

  const found = { tabs: await tabs(page) };
  found.hover = await hover(page);
  found.legend = await legend(page);
  for (const scheme of ["light", "dark"]) {
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    found[scheme] = await page.evaluate(colours, given.plot);
    await picture(page, `wide-${scheme}`);
  }
  await page.setViewport(NARROW);
  await page.waitForFunction(
    (width) =>
      Array.from(document.querySelectorAll(".main-svg")).every(
        (plot) => plot.getBoundingClientRect().width < width,
      ),
    {},
    NARROW.width,
  );
  await picture(page, "narrow");
  found.opened = await open(page);
  found.too_wide = await page.evaluate(tooWide);
  for (const scheme of ["light", "dark"]) {
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    found[`${scheme}_violations`] = await audit(page);
  }
  return { ...found, asked, wrong };
}

/** What the Tab key reaches, from the top of the page on, and whether that is seen. */
async function tabs(page) {
  const found = [];
  for (let step = 0; step < 12; step++) {
    await page.keyboard.press("Tab");
    found.push(
      await page.evaluate(() => {
        const place = document.activeElement.getBoundingClientRect();
        return {
          tag: document.activeElement.tagName.toLowerCase(),
          text: document.activeElement.textContent.slice(0, 40),
          seen: place.left >= 0 && place.width > 0,
          outline: getComputedStyle(document.activeElement).outlineStyle,
        };
      }),
    );
    if (step === 0) {
      await page.keyboard.press("Enter");
      found[0].leads_to = await page.evaluate(() => document.activeElement.id);
      await page.evaluate(() => document.activeElement.blur());
      await page.evaluate(() => scrollTo(0, 0));
      await page.focus(".skip");
    }
  }
  return found;
}

/** The label of the dot under the mouse. */
async function hover(page) {
  const dot = await page.$(`#${given.plot} .point`);
  await dot.scrollIntoView();
  const place = await dot.boundingBox();
  await page.mouse.move(place.x + place.width / 2, place.y + place.height / 2, { steps: 4 });
  await page.waitForSelector(`#${given.plot} .hoverlayer .hovertext`);
  await picture(page, "hover", false);
  return page.$eval(`#${given.plot} .hovertext`, (label) =>
    Array.from(label.querySelectorAll("tspan.line"), (line) => line.textContent),
  );
}

/** How many dots are left when the legend's first entry is clicked, and again. */
async function legend(page) {
  const dots = () => page.$$eval(`#${given.plot} .point`, (all) => all.length);
  const counts = [await dots()];
  for (let click = 0; click < 2; click++) {
    await page.click(`#${given.plot} .legendtoggle`);
    await page.waitForFunction(
      (id, before) => document.querySelectorAll(`#${id} .point`).length !== before,
      {},
      given.plot,
      counts.at(-1),
    );
    counts.push(await dots());
  }
  return counts;
}

/** Opens every table that is folded away, by keyboard; rows that are then seen. */
async function open(page) {
  const rows = [];
  for (const summary of await page.$$("summary")) {
    await summary.focus();
    await page.keyboard.press("Enter");
    rows.push(
      await summary.evaluate(
        (line) =>
          Array.from(line.parentElement.querySelectorAll("tbody tr")).filter(
            (row) => row.getBoundingClientRect().height > 0,
          ).length,
      ),
    );
  }
  return rows;
}

/** In the page: the colours of texts and of what is behind them. */
function colours(id) {
  const style = (selector) => getComputedStyle(document.querySelector(selector));
  return {
    ground: style("body").backgroundColor,
    card: style("section").backgroundColor,
    text: style("body").color,
    soft: style("section .soft").color,
    tick: style(`#${id} .xtick text`).fill,
    legend: style(`#${id} .legendtext`).fill,
  };
}

/** In the page: what makes it scroll sideways. */
function tooWide() {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  return Array.from(document.querySelectorAll("body *"))
    .filter((each) => !each.closest(".scroll") && each.getBoundingClientRect().right > width)
    .map((each) => each.outerHTML.slice(0, 120));
}

/** What axe-core finds wrong, a line each. */
async function audit(page) {
  await page.evaluate(axe);
  return page.evaluate(async () => {
    const { violations } = await window.axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"],
    });
    return violations.map(
      ({ id, help, nodes }) => `${id}: ${help}; ${nodes.length}, ${nodes[0].html.slice(0, 120)}`,
    );
  });
}

async function picture(page, name, whole = true) {
  if (!given.screenshots) return;
  await page.screenshot({ path: join(given.screenshots, `${name}.png`), fullPage: whole });
}
