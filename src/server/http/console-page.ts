/**
 * The console at `/console`: a page that shows what the cache does. The page itself holds no data. It reads everything
 * through the API, with the token of the person who looks.
 */
import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { CONSOLE_PATH } from '../../platform/console-path.js';
import { CompressedTexts, type EncodingFor } from './compression.js';
import { consolePolicy } from './http-security.js';

/** Its address names its content, so it never changes. */
const FOREVER = 'public, max-age=31536000, immutable';

export interface ConsoleBundle {
  readonly script: string;
  readonly style: string;
}

export interface ConsoleOptions {
  /** Filled in on the page. Absent: the page asks for one. */
  readonly token?: string | undefined;
  /** The operation that the page explains first. */
  readonly document?: string | undefined;
  /** Called once when the server listens, and again only after a failure. */
  readonly bundle: () => Promise<ConsoleBundle>;
}

interface ServedFile {
  readonly type: string;
  readonly text: string;
}

interface Served {
  readonly page: ServedFile;
  readonly files: ReadonlyMap<string, ServedFile>;
}

export interface ConsolePaths {
  /** Of the API. */
  readonly endpoint: string;
  /** Absent: no explorer. */
  readonly explorer: string | undefined;
}

interface ServeOptions extends ConsoleOptions {
  /** Called before each response. Rejects with what is sent in its place. */
  readonly admit: (address: string) => Promise<void>;
  readonly encodingFor: EncodingFor;
}

export function serveConsole(
  app: FastifyInstance,
  paths: ConsolePaths,
  { admit, encodingFor, ...options }: ServeOptions,
): void {
  const send = sender(encodingFor);
  let served: Promise<Served> | undefined;
  const load = () => {
    served ??= options.bundle().then((bundle) => servedOf(bundle, paths, options));
    served.catch(() => {
      served = undefined; // the next visit tries again
    });
    return served;
  };
  // The bundler of a checkout needs longer than a person wants to wait. A fault is reported to the first visitor.
  app.addHook('onListen', async () => void load().catch(() => {}));
  app.get(CONSOLE_PATH, consolePolicy, async (request, reply) => {
    await admit(request.ip);
    const { page } = await load();
    return send(request, reply.header('cache-control', 'no-store'), page);
  });
  app.get<{ Params: { file: string } }>(`${CONSOLE_PATH}/:file`, async (request, reply) => {
    await admit(request.ip);
    const file = (await load()).files.get(request.params.file);
    if (file === undefined) return reply.callNotFound();
    return send(request, reply.header('cache-control', FOREVER), file);
  });
}

const compressed = new CompressedTexts<ServedFile>();

function sender(encodingFor: EncodingFor) {
  return async ({ headers }: FastifyRequest, reply: FastifyReply, file: ServedFile): Promise<FastifyReply> => {
    const encoding = encodingFor(headers['accept-encoding'], file.text.length);
    reply.type(file.type).header('vary', 'accept-encoding');
    if (encoding === undefined) return reply.send(file.text);
    return reply.header('content-encoding', encoding).send(await compressed.of(file, encoding));
  };
}

function servedOf({ script, style }: ConsoleBundle, paths: ConsolePaths, options: ConsoleOptions): Served {
  const scriptName = `console.${fingerprint(script)}.js`;
  const styleName = `console.${fingerprint(style)}.css`;
  const { token, document } = options;
  const settings = JSON.stringify({ ...paths, token, document }).replaceAll('<', '\\u003c');
  const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Cache console</title>
<link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath fill='%230f766e' d='M1 9h3v6H1zM6 5h3v10H6zM11 1h3v14h-3z'/%3E%3C/svg%3E">
<link rel="stylesheet" href="${CONSOLE_PATH}/${styleName}">
<script id="settings" type="application/json">${settings}</script>
<script type="module" src="${CONSOLE_PATH}/${scriptName}"></script>
</head>
<body>
<div id="console"></div>
<noscript>The console needs JavaScript. The API answers at ${paths.endpoint}.</noscript>
</body>
</html>`;
  const files = new Map([
    [scriptName, { type: 'text/javascript; charset=utf-8', text: script }],
    [styleName, { type: 'text/css; charset=utf-8', text: style }],
  ]);
  return { page: { type: 'text/html; charset=utf-8', text: page }, files };
}

function fingerprint(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 12);
}
