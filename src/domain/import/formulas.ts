/**
 * Spreadsheets execute cells that begin with = + - or @, and some skip a tab or line break before them. Exports put an
 * apostrophe before such a cell, and imports take it away, as Linear's do.
 */

/** @returns a text that spreadsheets show and do not execute */
export function protectFormula(text: string): string {
  return /^'*[=+\-@\t\r\n]/.test(text) ? `'${text}` : text;
}

/** The text that `protectFormula` was given. */
export function unprotectFormula(text: string): string {
  return /^'+[=+\-@\t\r\n]/.test(text) ? text.slice(1) : text;
}
