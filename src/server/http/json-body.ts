/**
 * Bodies in JSON are UTF-8 (RFC 8259). Others are refused: a decoder would put U+FFFD in place of each wrong byte, and so make two
 * different texts the same.
 *
 * A body of many small objects takes the process 140 ms for each MiB, and costs its sender a point at most. So the time that is spent on
 * parsing bodies is counted as the time that new documents take.
 */
import { isUtf8 } from 'node:buffer';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { badRequest } from '../../graphql/errors.js';

/** A smaller body is parsed in less time than it takes to count it. */
const TIMED_BYTES = 1024;
/** From here on a body waits for a turn of the event loop, since it may take more than a millisecond. */
export const LARGE_BODY_BYTES = 8 * 1024;

/** Runs `parse` when its sender may have it run. `wait`: in a turn of its own. @throws RATE_LIMITED */
export type Timed = (request: FastifyRequest, parse: () => void, options: { wait: boolean }) => Promise<void>;

export function readJsonBodies(app: FastifyInstance, timed: Timed): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    const run = () => {
      if (isUtf8(body)) parse(request, body.toString(), done);
      else done(badRequest('expected a body in UTF-8'));
    };
    if (body.length < TIMED_BYTES) return run();
    timed(request, run, { wait: body.length > LARGE_BODY_BYTES }).catch(done);
  });
}
