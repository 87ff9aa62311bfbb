/**
 * The span of a request to the API, from its arrival until its response is sent. It continues the trace that the header
 * `traceparent` names. Made only where an SDK of OpenTelemetry is registered when the server is created.
 */
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  type Context,
  context,
  ProxyTracerProvider,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { type DocumentNode, Kind, type OperationDefinitionNode, print, visit } from 'graphql';
import { type AnsweredAs, cutName, OperationNames } from '../platform/request-metrics.js';

const TRACER = 'tasks-api';
const SERVER_ERROR = 500;
const MAX_DOCUMENT_CHARS = 4096;

/** Undefined without an SDK. */
export function serverTracer(): Tracer | undefined {
  const provider = trace.getTracerProvider();
  // Where no SDK is registered, the API's own provider has nothing to delegate to.
  const isOwn = provider instanceof ProxyTracerProvider;
  return isOwn ? provider.getDelegateTracer(TRACER) : provider.getTracer(TRACER);
}

/** Undefined without an SDK: then requests have no span. */
export function requestSpans(route: string): RequestSpans | undefined {
  const tracer = serverTracer();
  return tracer && new RequestSpans(tracer, route);
}

export class RequestSpans {
  readonly #tracer: Tracer;
  readonly #route: string;
  /** Clients choose names of operations; names of spans must be few. */
  readonly #names = new OperationNames();

  constructor(tracer: Tracer, route: string) {
    this.#tracer = tracer;
    this.#route = route;
  }

  start({ method = '', url = '', headers, httpVersion }: IncomingMessage, response: ServerResponse): RequestSpan {
    const [path = ''] = url.split('?');
    const [, address = '', port] = /^(.*?)(?::(\d+))?$/.exec(headers.host ?? '') ?? [];
    const attributes = {
      'http.request.method': method,
      'http.route': this.#route,
      'url.path': path,
      'url.scheme': 'http',
      'network.protocol.version': httpVersion,
      ...(address !== '' && { 'server.address': address }),
      ...(port !== undefined && { 'server.port': Number(port) }),
      ...(headers['user-agent'] !== undefined && { 'user_agent.original': headers['user-agent'] }),
    };
    const from = propagation.extract(ROOT_CONTEXT, headers);
    const span = this.#tracer.startSpan(`${method} ${this.#route}`, { kind: SpanKind.SERVER, attributes }, from);
    const request = new RequestSpan(span, trace.setSpan(from, span), this.#names);
    response.once('close', () => request.closed());
    return request;
  }
}

/** An operation that a request names, as far as the document has it. */
export interface NamedOperation {
  readonly document: DocumentNode;
  readonly operation: OperationDefinitionNode | undefined;
}

/** How a request was answered. */
interface Answered {
  readonly as: AnsweredAs;
  readonly id: string;
  /** Of HTTP. */
  readonly status: number;
}

export class RequestSpan {
  readonly #span: Span;
  readonly #context: Context;
  readonly #names: OperationNames;
  #documentHash: string | undefined;
  #ended = false;

  constructor(span: Span, context: Context, names: OperationNames) {
    this.#span = span;
    this.#context = context;
    this.#names = names;
  }

  /** SHA-256 of the document's text, in hexadecimal. Absent: the operation is not known yet. */
  get documentHash(): string | undefined {
    return this.#documentHash;
  }

  /** Spans that `work` makes are below this one. */
  run<T>(work: () => T): T {
    return context.with(this.#context, work);
  }

  operation(named: NamedOperation, caller: string): void {
    this.#documentHash = describedDocument(named.document).hash;
    describeOperation(this.#span, named, { caller, names: this.#names });
  }

  /** A kept response to a query. */
  kept({ name, hash }: { name: string | undefined; hash: string | undefined }, caller: string): void {
    nameOperation(this.#span, { type: 'query', name }, { caller, names: this.#names });
    if (hash !== undefined) this.#span.setAttribute('graphql.document.hash', hash);
  }

  /** The response has an error. `internal`: not of the client's making. */
  failed(code: string, { internal }: { readonly internal: boolean }): void {
    this.#span.setAttribute('error.type', code);
    if (internal) this.#span.setStatus({ code: SpanStatusCode.ERROR });
  }

  answered({ as, id, status }: Answered): void {
    this.#span.setAttributes({ 'http.response.status_code': status, 'tasks.answered': as, 'tasks.request.id': id });
    if (status >= SERVER_ERROR) this.#span.setStatus({ code: SpanStatusCode.ERROR });
    this.#end();
  }

  /** The client has gone, if the request was not answered before. */
  closed(): void {
    if (!this.#ended) this.#span.setAttribute('error.type', 'CLIENT_CLOSED_REQUEST');
    this.#end();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#span.end();
  }
}

/** Who has named an operation, and the names that are shown. */
interface Naming {
  readonly caller: string;
  readonly names: OperationNames;
}

/** Names a span by its operation, if the document has it. */
export function describeOperation(span: Span, { document, operation }: NamedOperation, naming: Naming): void {
  if (operation === undefined) return;
  const { hash, text } = describedDocument(document);
  nameOperation(span, { type: operation.operation, name: operation.name?.value }, naming);
  span.setAttributes({ 'graphql.document.hash': hash, 'graphql.document': text });
}

function nameOperation(
  span: Span,
  { type, name }: { readonly type: string; readonly name: string | undefined },
  { caller, names }: Naming,
): void {
  const shown = names.shown(name, caller);
  span.updateName(shown === '' ? type : `${type} ${shown}`);
  span.setAttribute('graphql.operation.type', type);
  if (name !== undefined) span.setAttribute('graphql.operation.name', cutName(name));
}

interface DescribedDocument {
  readonly hash: string;
  readonly text: string;
}

const described = new WeakMap<DocumentNode, DescribedDocument>();

/** Literals may be values of users: the text shows none. */
function describedDocument(document: DocumentNode): DescribedDocument {
  const known = described.get(document);
  if (known !== undefined) return known;
  const literal = { enter: () => ({ kind: Kind.ENUM, value: '_' }) as const };
  const masked = visit(document, { StringValue: literal, IntValue: literal, FloatValue: literal });
  const made = {
    hash: createHash('sha256')
      .update(document.loc?.source.body ?? print(document))
      .digest('hex'),
    text: print(masked).slice(0, MAX_DOCUMENT_CHARS),
  };
  described.set(document, made);
  return made;
}
