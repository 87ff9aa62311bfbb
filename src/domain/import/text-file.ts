/** Reads a text file in pieces of whole lines. Refuses bytes that are not UTF-8, and names their line. */
import { isUtf8 } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { ImportError } from './import-error.js';

const PIECE_BYTES = 256 * 1024;
/** A line that is longer is no line of a CSV or JSON Lines file; it would have to be kept in memory as a whole. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;
const NEWLINE = 0x0a;

/**
 * The text without a byte order mark. Each piece but the last ends with a line break.
 * @throws ImportError BAD_ENCODING, BAD_RECORD
 */
export async function* textOf(path: string): AsyncGenerator<string> {
  let waiting: Buffer[] = [];
  let waitingBytes = 0;
  let line = 1;
  const take = (end: Buffer): string => {
    const bytes = waiting.length === 0 ? end : Buffer.concat([...waiting, end]);
    [waiting, waitingBytes] = [[], 0];
    if (!isUtf8(bytes)) throw notUtf8(bytes, line);
    const text = bytes.toString();
    const piece = line === 1 && text.startsWith('\ufeff') ? text.slice(1) : text;
    line += countNewlines(bytes);
    return piece;
  };
  for await (const chunk of createReadStream(path, { highWaterMark: PIECE_BYTES }) as AsyncIterable<Buffer>) {
    const end = chunk.lastIndexOf(NEWLINE) + 1;
    if (end > 0) yield take(chunk.subarray(0, end));
    if (end < chunk.length) waiting.push(chunk.subarray(end));
    waitingBytes += chunk.length - end;
    if (waitingBytes > MAX_LINE_BYTES) {
      throw new ImportError('BAD_RECORD', `line ${line}: expected at most ${MAX_LINE_BYTES} bytes, got more`);
    }
  }
  if (waitingBytes > 0) yield take(Buffer.alloc(0));
}

/** Lines with their numbers, from 1, without line breaks. Empty ones are left out. */
export async function* linesOf(path: string): AsyncGenerator<{ readonly line: number; readonly text: string }> {
  let line = 0;
  for await (const piece of textOf(path)) {
    const lines = piece.split('\n');
    if (piece.endsWith('\n')) lines.pop();
    for (const text of lines) {
      line++;
      if (text.trim() !== '') yield { line, text };
    }
  }
}

function notUtf8(bytes: Buffer, firstLine: number): ImportError {
  let start = 0;
  for (let line = firstLine; ; line++) {
    const newline = bytes.indexOf(NEWLINE, start);
    const end = newline < 0 ? bytes.length : newline;
    if (newline < 0 || !isUtf8(bytes.subarray(start, end))) {
      return new ImportError('BAD_ENCODING', `line ${line}: expected UTF-8, got another encoding`);
    }
    start = end + 1;
  }
}

function countNewlines(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) count++;
  return count;
}
