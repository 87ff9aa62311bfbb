/**
 * Parses JSON bodies, which must be UTF-8 (RFC 8259). Others are refused: a decoder would replace each invalid byte
 * with U+FFFD, which makes different texts equal.
 *
 * A body of many small objects takes 140 ms per MiB and costs its sender a point at most. The time spent on parsing
 * bodies is therefore charged like the time for new documents.
 */
import { isUtf8 } from 'node:buffer';
import type { FastifyInstance } from 'fastify';
import { badRequest } from '../../graphql/errors.js';
import type { Documents } from '../operations/documents.js';

/** A smaller body is parsed faster than its time could be measured. */
const TIMED_BYTES = 1024;
/** A body of at least this size waits for its own event-loop tick, since it may take more than a millisecond. */
export const LARGE_BODY_BYTES = 8 * 1024;

/** `documents`: limits the time of a body's sender. */
export function readJsonBodies(app: FastifyInstance, documents: Documents): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    const run = () => {
      if (isUtf8(body)) parse(request, body.toString(), done);
      else done(badRequest('expected a body in UTF-8'));
    };
    const { sender } = request.apiRequest;
    // Without a sender the route is outside the API.
    if (body.length < TIMED_BYTES || sender === undefined) return run();
    documents.timed(sender, run, { wait: body.length > LARGE_BODY_BYTES }).catch(done);
  });
}
