/**
 * Documents that clients name instead of sending, in two ways. With automatic persisted queries (APQ) any client
 * registers documents, which all processes share. With a manifest, written by a build, clients name documents by
 * `documentId` (GraphQL over HTTP, appendix on persisted documents). The manifest can also be made the list of the only
 * documents that run.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { ApolloServerPlugin } from '@apollo/server';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { GraphQLError, parse } from 'graphql';
import { LRUCache } from 'lru-cache';
import type { UserId } from '../../db/ids.js';
import type { SharedValues } from '../../engine/cache/index.js';
import { ConfigError } from '../../platform/config-error.js';
import type { Log } from '../../platform/log.js';
import { DAY } from '../../std/time.js';
import type { RequestContext } from '../request-context.js';

/** A document not used for this long must be registered again. */
const REGISTERED_TTL_MS = 30 * DAY;
/** Size of this process's cache of registered documents, in characters. Each is read from Redis once. */
const MAX_REGISTERED_CHARS = 4 * 1024 * 1024;
/** Larger documents are not registered; clients send them every time. */
const MAX_DOCUMENT_BYTES = 10 * 1024;
/** Bytes one viewer can register per day and process. The documents of a large frontend take about 300 KiB. */
const MAX_BYTES_OF_VIEWER = 1024 * 1024;
/** Viewers whose registrations are counted. An evicted viewer starts again at zero. */
const MAX_VIEWERS = 20_000;
/** Unlisted documents to log, each once. */
const MAX_LOGGED = 1000;

/**
 * Automatic persisted queries. Apollo reads documents through this class. A document is registered only if it is valid
 * and a viewer may run it, within the viewer's budget. If a read fails the document counts as unknown, and the client
 * sends it again.
 */
export class RegisteredDocuments {
  readonly #store: Pick<SharedValues, 'setText' | 'getText'>;
  /** Keyed by the digest of the text, so entries never change. */
  readonly #known = new LRUCache<string, string>({
    maxSize: MAX_REGISTERED_CHARS,
    sizeCalculation: (text) => text.length,
  });
  /** Bytes registered, by viewer. */
  readonly #spent = new LRUCache<string, number>({ max: MAX_VIEWERS, ttl: DAY, noUpdateTTL: true });

  constructor(store: Pick<SharedValues, 'setText' | 'getText'>) {
    this.#store = store;
  }

  async get(name: string): Promise<string | undefined> {
    const known = this.#known.get(name);
    if (known !== undefined || !isRegistered(name)) return known;
    const text = await this.#store.getText(name).catch(() => undefined);
    if (text !== undefined) this.#known.set(name, text);
    return text;
  }

  /** The text of a document that this process has read before. */
  knownText(digest: unknown): string | undefined {
    return typeof digest === 'string' ? this.#known.get(`apq:${digest}`) : undefined;
  }

  /** Apollo calls it for any document. `plugin` registers those of viewers instead. */
  async set(): Promise<void> {}

  async delete(): Promise<void> {
    // A document stored under its digest is always correct.
  }

  /**
   * Registers the document of a request when its operation is about to run: it is valid, and its viewer is known and
   * within the limits.
   */
  plugin(): ApolloServerPlugin<RequestContext> {
    return {
      requestDidStart: async () => ({
        executionDidStart: async ({ metrics, queryHash, source, contextValue: { sender } }) => {
          const { identity } = sender;
          if (!metrics.persistedQueryRegister || identity === undefined) return;
          void this.register(`apq:${queryHash}`, source, identity.userId);
        },
      }),
    };
  }

  /**
   * Does nothing if the text is too large or the viewer's budget is used up. @param name Apollo's name of the document
   */
  async register(name: string, text: string, viewerId: UserId): Promise<void> {
    const bytes = Buffer.byteLength(text);
    if (bytes > MAX_DOCUMENT_BYTES || !isRegistered(name) || this.#known.has(name)) return;
    const spent = (this.#spent.get(viewerId) ?? 0) + bytes;
    if (spent > MAX_BYTES_OF_VIEWER) return;
    this.#spent.set(viewerId, spent);
    this.#known.set(name, text);
    await this.#store.setText(name, text, REGISTERED_TTL_MS).catch(() => {}); // this process already knows it
  }
}

/** Apollo's prefix and a SHA-256, so that no other text of a client becomes a key in Redis. */
function isRegistered(name: string): boolean {
  return /^apq:[0-9a-f]{64}$/.test(name);
}

export interface PersistedDocumentsOptions {
  /** Texts by id, without `sha256:`. */
  readonly manifest: ReadonlyMap<string, string>;
  /** What happens to a document that is not in the manifest: it runs and is logged, or it is refused. */
  readonly mode: 'warn' | 'enforce';
  readonly log: Log;
  /** Called for every request with an unlisted document. */
  readonly unlisted: () => void;
}

/** The members of a request that say which document to run. */
interface DocumentReference {
  readonly documentId: unknown;
  readonly query: unknown;
}

export class PersistedDocuments {
  readonly #options: PersistedDocumentsOptions;
  readonly #texts: ReadonlySet<string>;
  readonly #logged = new LRUCache<string, true>({ max: MAX_LOGGED });

  constructor(options: PersistedDocumentsOptions) {
    this.#options = options;
    this.#texts = new Set(options.manifest.values());
  }

  /** Replaces a `documentId` with its text before anything else reads the request. */
  serve(app: FastifyInstance, endpoint: string): void {
    app.addHook('preHandler', async (request) => {
      if (request.routeOptions.url !== endpoint) return;
      if (request.method === 'POST') this.#serveBody(request);
      else this.#serveAddress(request);
    });
  }

  #serveBody(request: FastifyRequest): void {
    const { body } = request;
    if (typeof body !== 'object' || body === null || Array.isArray(body)) return; // refused later with its own error
    const { documentId, query, ...rest } = body as Record<string, unknown>;
    const text = this.textOf({ documentId, query });
    if (documentId !== undefined) request.body = { ...rest, query: text };
  }

  #serveAddress(request: FastifyRequest): void {
    // Parsed exactly as Apollo does: a difference between two parsers could be exploited.
    const { pathname, searchParams } = new URL(request.url, 'http://localhost');
    const given = (name: string) => {
      const values = searchParams.getAll(name);
      if (values.length > 1) throw refusal('BAD_REQUEST', `${name}: expected once, got ${values.length} times`);
      return values[0];
    };
    const documentId = given('documentId');
    const text = this.textOf({ documentId, query: given('query') });
    if (documentId === undefined) return;
    searchParams.delete('documentId');
    searchParams.set('query', text as string);
    request.raw.url = `${pathname}?${searchParams}`;
  }

  /** The text of a document in the manifest. Undefined if the request names or contains another one, or none. */
  listedText({ documentId, query }: DocumentReference): string | undefined {
    if (documentId === undefined) return typeof query === 'string' && this.#texts.has(query) ? query : undefined;
    const isName = typeof documentId === 'string' && (query === undefined || query === null);
    return isName ? this.#options.manifest.get(withoutAlgorithm(documentId)) : undefined;
  }

  /**
   * @returns the document to run; anything that is not a text is returned unchanged, for later checks
   * @throws GraphQLError PERSISTED_DOCUMENT_NOT_FOUND, PERSISTED_DOCUMENT_REQUIRED, BAD_REQUEST
   */
  textOf({ documentId, query }: DocumentReference): unknown {
    const { manifest, mode } = this.#options;
    if (documentId !== undefined) {
      if (typeof documentId !== 'string') throw refusal('BAD_REQUEST', 'documentId: expected a text like sha256:…');
      if (query !== undefined && query !== null) throw refusal('BAD_REQUEST', 'documentId, query: expected only one');
      const text = manifest.get(withoutAlgorithm(documentId));
      if (text === undefined) throw refusal('PERSISTED_DOCUMENT_NOT_FOUND', 'documentId: there is no such document');
      return text;
    }
    if (typeof query === 'string' && this.#texts.has(query)) return query;
    if (mode === 'enforce') {
      const expected = 'documentId: expected the id of a document in the manifest of this API';
      throw refusal('PERSISTED_DOCUMENT_REQUIRED', expected);
    }
    if (typeof query === 'string') this.#logUnlisted(query);
    return query;
  }

  #logUnlisted(text: string): void {
    this.#options.unlisted();
    const hash = createHash('sha256').update(text).digest('hex');
    if (this.#logged.has(hash)) return;
    this.#logged.set(hash, true);
    this.#options.log.warn(
      { documentId: `sha256:${hash}`, start: text.slice(0, 200) },
      'a document is not in the manifest',
    );
  }
}

function refusal(code: string, message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code, http: { status: 400 } } });
}

function withoutAlgorithm(id: string): string {
  return id.startsWith('sha256:') ? id.slice('sha256:'.length) : id;
}

/**
 * Reads the output of codegen's client preset: `{ "<id>": "<document>" }`, ids with or without `sha256:`.
 * @throws ConfigError naming the file and what was expected
 */
export async function readManifest(path: string): Promise<ReadonlyMap<string, string>> {
  const refuse = (what: string) => new ConfigError(`PERSISTED_DOCUMENTS: ${path}: ${what}`);
  const expected = 'expected a JSON object of documents by id';
  const text = await readFile(path, 'utf8').catch((error: Error) => {
    throw refuse(`expected a file that can be read (${error.message})`);
  });
  let manifest: unknown;
  try {
    manifest = JSON.parse(text);
  } catch (error) {
    throw refuse(`${expected} (${(error as Error).message})`);
  }
  if (typeof manifest !== 'object' || manifest === null || Array.isArray(manifest)) throw refuse(expected);
  const documents = new Map<string, string>();
  for (const [id, document] of Object.entries(manifest)) {
    if (id === '' || typeof document !== 'string') throw refuse(`${JSON.stringify(id)}: expected a document as text`);
    try {
      parse(document);
    } catch (error) {
      throw refuse(`${JSON.stringify(id)}: expected a GraphQL document (${(error as Error).message})`);
    }
    documents.set(withoutAlgorithm(id), document);
  }
  if (documents.size === 0) throw refuse('expected at least one document');
  return documents;
}
