// The server's JSON interface. The token stands behind the # of the page's address.

const TOKEN = location.hash.slice(1);

/**
 * Asks the server.
 *
 * @param {string} method of HTTP
 * @param {string} path below /api/
 * @param {any} [body] as JSON
 * @returns {Promise<any>} its answer
 * @throws {Error} what it refuses, in one line
 */
export async function ask(method, path, body) {
  const headers = { "X-Fedp-Token": TOKEN };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(`/api/${path}`, { method, headers, body: JSON.stringify(body) });
  } catch (error) {
    throw new Error("fedp does not answer: start `fedp demo` again", { cause: error });
  }
  const found = await response.json();
  if (!response.ok) throw new Error(found.error);
  return found;
}
