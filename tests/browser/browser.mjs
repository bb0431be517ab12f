// A headless Chromium from npm, unpacked into a folder that goes with it.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * Runs work in a browser; no process and no file of it outlives the call.
 *
 * @template T
 * @param {(browser: import("puppeteer-core").Browser) => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withBrowser(work) {
  const folder = await mkdtemp(join(tmpdir(), "fedp-browser-"));
  process.env.TMPDIR = folder; // where the package unpacks Chromium
  try {
    const { default: chromium } = await import("@sparticuz/chromium");
    const { default: puppeteer } = await import("puppeteer-core");
    chromium.setGraphicsMode = false;
    const browser = await puppeteer.launch({
      executablePath: await chromium.executablePath(),
      userDataDir: join(folder, "profile"),
      headless: "shell",
      // The pages are our own: the sandbox needs rights that a container may lack.
      args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
    });
    try {
      return await work(browser);
    } finally {
      await browser.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
