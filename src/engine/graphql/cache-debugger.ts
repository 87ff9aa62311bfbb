/**
 * `extensions.apolloCacheDebugging`: a request's cache trace in the format of Apollo's cache debugger, which Sandbox
 * and other tools show. Sent when the request has `apollo-cache-debugging: true`. The format is that of Apollo Router's
 * response cache, version 1.0, in which an entry is the response of one subgraph. Here it is one cached call, and the
 * only "subgraph" is this API. Values are left out, since the response has them.
 */
import { type GraphQLResolveInfo, print } from 'graphql';
import type { OutcomeReason } from '../cache/index.js';
import { SECOND } from '../cache/time.js';
import type { NotedCall } from './cache-trace.js';

const VERSION = '1.0';
const SUBGRAPH = 'tasks';

/** Reasons of a miss whose value has been stored. */
const STORED: ReadonlySet<OutcomeReason | undefined> = new Set(['absent', 'invalid', 'damaged', 'expired'] as const);

export interface CacheDebugging {
  readonly version: string;
  readonly data: readonly CacheDebuggerEntry[];
}

interface CacheDebuggerEntry {
  readonly key: string;
  readonly invalidationKeys: readonly string[];
  /** A field of Query, or something below one. */
  readonly kind:
    | { readonly rootFields: readonly string[] }
    | { readonly typename: string; readonly entityKey: Readonly<Record<string, unknown>> };
  readonly subgraphName: string;
  readonly subgraphRequest: { readonly query: string };
  /** `subgraph`: the value was loaded. */
  readonly source: 'cache' | 'subgraph';
  /** Times in seconds. */
  readonly cacheControl: {
    readonly created: number;
    readonly maxAge?: number;
    readonly age?: number;
    readonly noStore?: true;
  };
  readonly shouldStore: boolean;
  readonly data: { readonly data: null };
  readonly warnings: readonly { readonly code: string; readonly links: readonly []; readonly message: string }[];
}

/** @param nowMs ms since 1970 */
export function cacheDebugging(noted: readonly NotedCall[], nowMs: number): CacheDebugging {
  return { version: VERSION, data: noted.map((one) => entryOf(one, nowMs)) };
}

function entryOf({ call, arg, info }: NotedCall, nowMs: number): CacheDebuggerEntry {
  const { outcome, reason, ageMs = 0, ttlLeftMs, name } = call;
  const served = outcome === 'near-hit' || outcome === 'hit' || outcome === 'stale';
  const stored = served || (outcome === 'miss' && STORED.has(reason));
  return {
    key: call.key ?? name,
    invalidationKeys: call.tags,
    kind: kindOf(call, arg),
    subgraphName: SUBGRAPH,
    subgraphRequest: { query: queryOf(info) },
    source: served ? 'cache' : 'subgraph',
    cacheControl: {
      created: seconds(nowMs - ageMs),
      ...(ttlLeftMs !== undefined && { maxAge: seconds(ageMs + ttlLeftMs), age: seconds(ageMs) }),
      ...(!stored && { noStore: true as const }),
    },
    shouldStore: stored,
    data: { data: null },
    warnings: stored ? [] : [{ code: outcome.toUpperCase(), links: [], message: `Not stored: ${reason ?? outcome}` }],
  };
}

function kindOf({ path, name }: NotedCall['call'], arg: unknown): CacheDebuggerEntry['kind'] {
  if (path?.length === 1) return { rootFields: [String(path[0])] };
  return { typename: name, entityKey: typeof arg === 'string' ? { id: arg } : { path: path?.join('.') ?? null } };
}

/** The field as the client selected it. */
function queryOf(info: GraphQLResolveInfo | undefined): string {
  return info === undefined ? '' : `{ ${info.fieldNodes.map(print).join(' ')} }`;
}

function seconds(ms: number): number {
  return Math.round(ms / SECOND);
}
