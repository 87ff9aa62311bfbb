/**
 * Parses JSON bodies, which must be UTF-8 (RFC 8259). Others are refused: a decoder would replace each invalid byte
 * with U+FFFD, which makes different texts equal.
 *
 * A body of many small objects would take 140 ms per MiB, during which nothing else is answered. Such a body is refused
 * by counting, which takes a millisecond. The time spent on parsing bodies is charged like the time for new documents.
 */
import { isUtf8 } from 'node:buffer';
import type { FastifyInstance } from 'fastify';
import { badRequest } from '../../graphql/errors.js';
import { MAX_BODY_VALUES } from '../../graphql/limits.js';
import type { Sender } from '../admission.js';
import type { Documents } from '../operations/documents.js';

/** A smaller body is parsed faster than its time could be measured. */
const TIMED_BYTES = 1024;
/** A body of at least this size waits for its own event-loop tick, since it may take more than a millisecond. */
export const LARGE_BODY_BYTES = 8 * 1024;

export class JsonBodies {
  readonly #documents: Documents;
  readonly #parse: ReturnType<FastifyInstance['getDefaultJsonParser']>;

  /** `documents`: limits the time of a body's sender. */
  constructor(app: FastifyInstance, documents: Documents) {
    this.#documents = documents;
    this.#parse = app.getDefaultJsonParser('error', 'error');
    app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (request, body, done) => {
      const run = () => {
        if (!isUtf8(body)) return done(badRequest('expected a body in UTF-8'));
        if (body.length > LARGE_BODY_BYTES && hasMoreValues(body, MAX_BODY_VALUES)) {
          return done(badRequest(`expected a body of at most ${MAX_BODY_VALUES} values`));
        }
        this.#parse(request, body.toString(), done);
      };
      const { sender } = request.apiRequest;
      // Without a sender the route is outside the API.
      if (body.length < TIMED_BYTES || sender === undefined) return run();
      documents.timed(sender, run, { wait: body.length > LARGE_BODY_BYTES }).catch(done);
    });
  }

  /** The value of a small body. Undefined if it is invalid, large, or its sender has no time left. */
  parseNow(body: Buffer, sender: Sender): unknown {
    if (body.length > LARGE_BODY_BYTES || !isUtf8(body)) return undefined;
    const parse = () => {
      let parsed: unknown;
      // Of the request the parser uses nothing. It calls back at once.
      this.#parse(undefined as never, body.toString(), (error, value) => {
        if (error === null) parsed = value;
      });
      return parsed;
    };
    return body.length < TIMED_BYTES ? parse() : this.#documents.timedNow(sender, parse);
  }
}

const [QUOTE, COMMA, BRACKET, BACKSLASH, BRACE] = [0x22, 0x2c, 0x5b, 0x5c, 0x7b] as const;

/** Whether a JSON text has more than `max` objects, lists and members. Also ends early on a text that is no JSON. */
export function hasMoreValues(json: Buffer, max: number): boolean {
  let values = 0;
  for (let i = 0; i < json.length; i++) {
    const byte = json[i] as number;
    if (byte === QUOTE) i = endOfString(json, i);
    // Each value but the first is preceded by one of these.
    else if ((byte === COMMA || byte === BRACKET || byte === BRACE) && ++values > max) return true;
  }
  return false;
}

/** @returns the index of the closing quote, or the text's length if there is none */
function endOfString(json: Buffer, start: number): number {
  let end = start;
  for (;;) {
    end = json.indexOf(QUOTE, end + 1);
    if (end === -1) return json.length;
    let backslashes = 0;
    while (json[end - 1 - backslashes] === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return end;
  }
}
