// Serves this folder, and one artifact as /model.tflite, on the loopback address alone.
//
//   node serve.mjs model.tflite [--port 8000]

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const TYPES = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".mjs": "text/javascript; charset=utf-8",
  ".tflite": "application/octet-stream",
  ".wasm": "application/wasm",
};

/**
 * Starts a server.
 *
 * @param {string} artifact path of the file to serve as /model.tflite
 * @param {number} port 0 takes a free one
 * @returns {Promise<import("node:http").Server>} once it listens
 */
export async function serve(artifact, port = 0) {
  await stat(artifact);
  const server = createServer(async (request, response) => {
    const path = fileOf(request.url ?? "/", artifact);
    const found = path && (await stat(path).catch(() => null));
    if (!found?.isFile()) {
      response.writeHead(404).end("no such file\n");
      return;
    }
    response.writeHead(200, {
      "Cache-Control": "no-cache",
      "Content-Length": found.size,
      "Content-Type": TYPES[extname(path)] ?? "application/octet-stream",
    });
    createReadStream(path).pipe(response);
  });
  await new Promise((settle, fail) => {
    server.once("error", fail);
    server.listen(port, "127.0.0.1", () => settle(undefined));
  });
  return server;
}

/** The file that an address names; nothing outside this folder. */
function fileOf(address, artifact) {
  const name = new URL(address, "http://localhost").pathname;
  if (name === "/model.tflite") return resolve(artifact);
  const path = resolve(join(HERE, name === "/" ? "index.html" : name));
  return path.startsWith(HERE.endsWith(sep) ? HERE : HERE + sep) ? path : null;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values, positionals } = parseArgs({
    options: { port: { type: "string", default: "8000" } },
    allowPositionals: true,
  });
  if (positionals.length !== 1) {
    console.error("usage: node serve.mjs model.tflite [--port 8000]");
    process.exit(2);
  }
  await serve(positionals[0], Number(values.port));
  console.log(`http://127.0.0.1:${values.port}/`);
}
