/**
 * Reads JSON that a person has given.
 *
 * @param {string} text
 * @throws {Error} what is wrong, in one line
 */
export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`That is no JSON (${error.message}).`, { cause: error });
  }
}
