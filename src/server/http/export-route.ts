/** Serves exports by signed links: streamed at the speed of the client, and few at a time. */
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { COSTS } from '../../graphql/limits.js';
import type { Log } from '../../platform/log.js';
import { MINUTE, SECOND } from '../../std/time.js';
import type { AdmissionOptions } from '../admission.js';
import { callerOf } from '../rate-limit/rate-limit.js';
import { Counts } from '../websocket/connection-slots.js';

/** Each holds a connection to Postgres, and its snapshot keeps Postgres from removing dead rows. */
const MAX_EXPORTS = 4;
const MAX_EXPORTS_PER_VIEWER = 1;
/** A client that reads nothing for so long is disconnected. */
const STALL_MS = 20 * SECOND;
const MAX_EXPORT_MS = 10 * MINUTE;
const RETRY_AFTER_SECONDS = 10;

/** An export that is ready to be read. */
export interface OpenExport {
  readonly fileName: string;
  readonly contentType: string;
  readonly text: AsyncIterable<string>;
  /** Releases what it holds. Called once, also if no text was read. */
  close(): Promise<void>;
}

export interface SignedExport {
  readonly viewerId: string;
  /** @returns undefined if the viewer can no longer read the project */
  open(): Promise<OpenExport | undefined>;
}

export interface ExportRouteOptions extends Pick<AdmissionOptions, 'rateLimits'> {
  readonly path: string;
  readonly log: Log;
  /** @returns undefined if the link was not signed here or has expired */
  readonly read: (link: string) => SignedExport | undefined;
}

export function serveExports(app: FastifyInstance, { path, log, read, rateLimits }: ExportRouteOptions): void {
  const byViewer = new Counts();
  let running = 0;
  app.get<{ Querystring: { link?: unknown } }>(path, { exposeHeadRoute: false }, async (request, reply) => {
    await rateLimits?.checkAddress(request.ip);
    const { link } = request.query;
    const signed = typeof link === 'string' ? read(link) : undefined;
    if (signed === undefined) return refuse(reply, 403, 'The link is not valid or has expired: request a new one.');
    const { viewerId } = signed;
    await rateLimits?.consume(callerOf({ userId: viewerId }, request.ip), COSTS.export);
    if (byViewer.of(viewerId) >= MAX_EXPORTS_PER_VIEWER) {
      return refuse(reply, 429, 'Another export of this viewer is running: expected one at a time.');
    }
    if (running >= MAX_EXPORTS) return refuse(reply, 503, 'Too many exports are running: retry later.');
    running++;
    byViewer.add(viewerId);
    const release = () => {
      running--;
      byViewer.remove(viewerId);
    };
    return send(await opened(signed, release), { reply, log, release });
  });
}

/** Until it is sent, a failure must release the slot. */
async function opened(signed: SignedExport, release: () => void): Promise<OpenExport | undefined> {
  try {
    return await signed.open();
  } catch (error) {
    release();
    throw error;
  }
}

function send(
  opened: OpenExport | undefined,
  { reply, log, release }: { reply: FastifyReply; log: Log; release: () => void },
) {
  if (opened === undefined) {
    release();
    return refuse(reply, 404, 'There is no such project.');
  }
  // A piece is a batch of rows: one is read ahead.
  const body = Readable.from(opened.text, { highWaterMark: 1 });
  const deadline = setTimeout(() => body.destroy(new Error('the export took too long')), MAX_EXPORT_MS).unref();
  body.on('error', (error) => log.error({ err: error }, 'an export failed'));
  body.once('close', () => {
    clearTimeout(deadline);
    opened
      .close()
      .catch(() => {})
      .finally(release); // the connection ends either way
  });
  const { raw } = reply;
  raw.setTimeout(STALL_MS, () => raw.destroy());
  if (raw.destroyed) body.destroy(); // the client left before there was anything to send
  return reply
    .header('cache-control', 'no-store')
    .header('content-disposition', `attachment; filename="${opened.fileName}"`)
    .type(opened.contentType)
    .send(body);
}

function refuse(reply: FastifyReply, status: number, message: string) {
  if (status === 429 || status === 503) reply.header('retry-after', String(RETRY_AFTER_SECONDS));
  return reply.code(status).header('cache-control', 'no-store').send({ statusCode: status, message });
}
