/**
 * Bodies in JSON are UTF-8 (RFC 8259). Others are refused: a decoder would put U+FFFD in place of each wrong byte, and so make two
 * different texts the same.
 */
import { isUtf8 } from 'node:buffer';
import type { FastifyInstance } from 'fastify';
import { badRequest } from './errors.js';

export function readJsonBodies(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    if (isUtf8(body)) return parse(request, body.toString(), done);
    return done(badRequest('expected a body in UTF-8'));
  });
}
