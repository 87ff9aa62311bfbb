/**
 * The stage before Apollo Server: answers requests whose document has been parsed and validated before. What is left to
 * do is to charge, execute and send. Everything else goes on to Apollo together with what is known of the request by
 * then: a refusal, a result with errors, an unusual form. So Apollo alone writes errors, and an operation is charged
 * and run once, whichever way its response takes.
 *
 * The headers of a response are those that Apollo's way has sent before: see recorded-headers.ts.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { getOperationAST } from 'graphql';
import { Tracer } from '../../engine/graphql/index.js';
import type { Sender } from '../admission.js';
import type { ApiRequest, Received } from '../api-request.js';
import type { CachedResponses } from '../http/cached-responses.js';
import type { JsonBodies } from '../http/json-body.js';
import type { RecordedHeaders } from '../http/recorded-headers.js';
import { RequestLifetime, untilClosed } from '../http/request-lifetime.js';
import type { UnreadResponses } from '../http/unread-responses.js';
import type { RateLimits } from '../rate-limit/rate-limit.js';
import { emptyOutcome, RequestContext } from '../request-context.js';
import type { Documents } from './documents.js';
import type { OperationExecutor } from './executor.js';
import type { LargeResponses } from './large-responses.js';
import type { OperationGate, RequestedOperation } from './operation-plugin.js';
import type { PersistedDocuments, RegisteredDocuments } from './persisted-documents.js';

export interface KnownOperationsOptions {
  readonly bodies: JsonBodies;
  readonly documents: Documents;
  /** Absent: clients name no documents of a manifest. */
  readonly listed?: PersistedDocuments | undefined;
  /** Absent: clients may not register documents. */
  readonly registered?: RegisteredDocuments | undefined;
  readonly gate: OperationGate;
  readonly executor: OperationExecutor;
  readonly large: LargeResponses;
  readonly headers: RecordedHeaders;
  readonly responses: CachedResponses;
  readonly unread: UnreadResponses;
  readonly rateLimits?: RateLimits | undefined;
  readonly answerTimeoutMs?: number | undefined;
}

/** The body of a request, parsed. */
type Body = Readonly<Record<string, unknown>>;

interface Exchange {
  readonly request: ApiRequest;
  readonly received: Received;
  readonly sender: Sender;
  readonly response: ServerResponse;
}

const UNTRACED = new Tracer(false);

export class KnownOperations {
  readonly #options: KnownOperationsOptions;

  constructor(options: KnownOperationsOptions) {
    this.#options = options;
  }

  /** @returns whether the response has been sent; if not, the request goes on to Apollo */
  async answer(request: ApiRequest, message: IncomingMessage, response: ServerResponse): Promise<boolean> {
    const { received, sender } = request;
    if (received === undefined || sender?.identity === undefined) return false;
    const { headers, responses, unread } = this.#options;
    const sent = headers.find(message);
    if (sent === undefined || unread.isBehind(sender.caller)) return false;
    const operation = this.#operationOf(received, sender);
    if (operation === undefined) return false;
    const context = this.#contextOf({ request, received, sender, response });
    request.begin(context);
    const text = await this.#run(operation, context).catch(() => undefined);
    if (text === undefined) return false;
    const { outcome } = context;
    if (outcome.operation?.type !== 'mutation' && !unread.allows(sender.caller, Buffer.byteLength(text))) return false;
    const { from, policiesRead, policiesLoaded } = outcome;
    const documentHash = request.span?.documentHash;
    const answer = { text, headers: sent, operation: outcome.operation?.name, documentHash, policiesRead };
    if (outcome.answered) responses.keep(received, sender.identity.userId, answer);
    const policiesSaved = Math.max(0, policiesRead - policiesLoaded);
    const { caller } = sender;
    responses.send({ answer, as: 'known', from, policiesSaved, caller, paid: outcome.rateLimit }, request, response);
    return true;
  }

  /** @returns the body of the response; undefined if it is not to be sent as it is. @throws the refusal */
  async #run(operation: RequestedOperation, context: RequestContext): Promise<string | undefined> {
    await this.#options.gate.decide(operation, context);
    const result = await this.#options.executor.execute(operation, context);
    return result.errors === undefined ? this.#options.large.stringify(result) : undefined;
  }

  #contextOf({ request, received: { readSet }, sender, response }: Exchange): RequestContext {
    const { rateLimits, answerTimeoutMs } = this.#options;
    const lifetime = new RequestLifetime(untilClosed(response), answerTimeoutMs);
    const outcome = emptyOutcome();
    return new RequestContext({
      ...{ sender, readSet, outcome, tracer: UNTRACED, snapshot: false, lifetime, rateLimits, request },
    });
  }

  /** Undefined if the request has an unusual form or a document that is not known. */
  #operationOf({ body }: Received, sender: Sender): RequestedOperation | undefined {
    const given = this.#options.bodies.parseNow(body, sender);
    if (!isRecord(given)) return undefined;
    const text = this.#textOf(given);
    const document = text === undefined ? undefined : this.#options.documents.store.find(text);
    if (document === undefined) return undefined;
    const { variables = undefined, operationName } = given;
    if (!isAbsent(variables) && !isRecord(variables)) return undefined;
    if (!isAbsent(operationName) && typeof operationName !== 'string') return undefined;
    const name = operationName || undefined;
    const operation = getOperationAST(document, name);
    if (!operation || operation.operation === 'subscription') return undefined;
    return { document, operation, operationName: name, variables: variables ?? undefined };
  }

  #textOf({ query, documentId, extensions }: Body): string | undefined {
    const { listed, registered } = this.#options;
    if (!isAbsent(extensions) && !isRecord(extensions)) return undefined;
    const persistedQuery = extensions?.['persistedQuery'];
    if (persistedQuery === undefined) {
      if (listed !== undefined) return listed.listedText({ documentId, query });
      return typeof query === 'string' && query !== '' ? query : undefined;
    }
    // With its text the document is being registered.
    const isName = query === undefined && documentId === undefined && isRecord(persistedQuery);
    return isName && persistedQuery['version'] === 1 ? registered?.knownText(persistedQuery['sha256Hash']) : undefined;
  }
}

function isAbsent(value: unknown): value is undefined | null {
  return value === undefined || value === null;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
