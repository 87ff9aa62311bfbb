/** Sends one message by HTTP. Redirects are not followed: they could lead to an address that is not checked. */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { SECOND } from '../../std/time.js';
import type { Resolve } from './resolve-name.js';
import { checkedLookup, leadsInside, NOT_PUBLIC } from './webhook-address.js';

/** From the first look at the name to the last byte of the response that is read. */
const TIMEOUT_MS = 10 * SECOND;
/** The rest of a response is not read. */
export const MAX_RESPONSE_BYTES = 4096;
const MAX_ERROR_CHARS = 500;
/** Too Many Requests and Service Unavailable: with any other status, Retry-After says nothing about the next attempt. */
const RETRY_AFTER_STATUSES: ReadonlySet<number> = new Set([429, 503]);

export interface WebhookRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly allowPrivate: boolean;
  /** Default: the hosts file and the name servers of the system. */
  readonly resolve?: Resolve;
  /** Gives the attempt up. */
  readonly signal: AbortSignal;
}

/** What came back. Without a response `status` is null and `error` says why. */
export interface WebhookResponse {
  readonly status: number | null;
  readonly body: string | null;
  readonly error: string | null;
  /** How long the receiver asks to wait before the next attempt. Only with the status 429 or 503. */
  readonly retryAfterMs?: number | undefined;
}

export async function sendMessage(request: WebhookRequest): Promise<WebhookResponse> {
  const url = new URL(request.url);
  if (!request.allowPrivate && leadsInside(url)) return failed(NOT_PUBLIC);
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const response = await post(url, request, AbortSignal.any([timeout, request.signal]));
    const status = response.statusCode ?? 0;
    const retryAfterMs = RETRY_AFTER_STATUSES.has(status)
      ? readRetryAfter(response.headers['retry-after'], Date.now())
      : undefined;
    return { status, body: await beginningOf(response), error: null, retryAfterMs };
  } catch (error) {
    request.signal.throwIfAborted();
    if (timeout.aborted) return failed(`no response within ${TIMEOUT_MS / SECOND} s`);
    return failed(reasonOf(error));
  }
}

export function isDelivered({ status }: WebhookResponse): boolean {
  return status !== null && status >= 200 && status < 300;
}

/**
 * How long a `Retry-After` asks to wait. It has seconds or an HTTP date (RFC 9110, section 10.2.3).
 * Undefined if it has neither, or a date that is past.
 */
export function readRetryAfter(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined;
  if (/^\d+$/.test(header)) return Number(header) * SECOND;
  const ms = httpDateMs(header) - nowMs;
  return ms > 0 ? ms : undefined;
}

/** Of the three formats (RFC 9110, section 5.6.7), the last one has no zone. NaN for other texts. */
function httpDateMs(text: string): number {
  // Date.parse alone also reads other formats, and texts such as `-1`.
  if (/^[A-Z][a-z]+, .* GMT$/.test(text)) return Date.parse(text);
  const isAsctime = /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}$/.test(text);
  return isAsctime ? Date.parse(`${text} GMT`) : Number.NaN;
}

/** If all addresses of a host fail, the error has no message but those errors. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(reasonOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}

function failed(reason: string): WebhookResponse {
  return { status: null, body: null, error: storable(reason).slice(0, MAX_ERROR_CHARS) };
}

function post(url: URL, request: WebhookRequest, signal: AbortSignal): Promise<IncomingMessage> {
  const { headers, body, allowPrivate, resolve: resolveName } = request;
  const lookup = checkedLookup({ allowPrivate, resolve: resolveName, signal });
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const sent = send(url, {
      method: 'POST',
      headers: { ...headers, 'content-length': String(Buffer.byteLength(body)) },
      agent: false, // a connection that was opened earlier may lead elsewhere
      signal,
      lookup,
    });
    sent.on('response', resolve);
    sent.on('error', reject);
    // The only event if the receiver answers 101. It is the last one always, and settles nothing after the others.
    sent.on('close', () => reject(new Error('the connection was closed without a response')));
    sent.end(body);
  });
}

async function beginningOf(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of response) {
    parts.push(part as Buffer);
    bytes += (part as Buffer).length;
    if (bytes >= MAX_RESPONSE_BYTES) break; // leaving the loop ends the connection
  }
  return storable(Buffer.concat(parts).subarray(0, MAX_RESPONSE_BYTES).toString());
}

/** Postgres stores no NUL. */
function storable(text: string): string {
  return text.replaceAll('\0', '\ufffd');
}
