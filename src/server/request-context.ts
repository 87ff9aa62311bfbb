/**
 * The context of an operation over HTTP. Its answer can be cached while its read set is valid; a resolver that uses
 * anything else states that with `markUncacheable`.
 */

import type { ExecutionResult, OperationTypeNode } from 'graphql';
import type { UserId } from '../db/ids.js';
import type { ReadFrom, ReadSet } from '../engine/cache/index.js';
import type { Tracer } from '../engine/graphql/index.js';
import type { WriteProgress } from '../engine/postgres/index.js';
import type { Context, Loads, UncacheableValues } from '../graphql/context.js';
import type { RateState } from '../graphql/rate-state.js';
import type { Sender } from './admission.js';
import type { RequestLifetime } from './http/request-lifetime.js';
import type { RateLimits } from './rate-limit/rate-limit.js';

/** An operation that may run. */
export interface AcceptedOperation {
  readonly name: string | undefined;
  readonly type: `${OperationTypeNode}`;
  /** In points. */
  readonly cost: number;
}

/**
 * What the execution of one request finds out. Created with the request's context, and read when its response is made.
 * Each member has one writer.
 */
export interface OperationOutcome {
  /** Whether the document does not parse or is not valid. Written by operations/documents.ts. */
  invalidDocument: boolean;
  /**
   * Written by operations/operation-plugin.ts when it has accepted the operation; read by operations/executor.ts too.
   */
  operation: AcceptedOperation | undefined;
  /**
   * The caller's rate limit after this operation. Written by operations/operation-plugin.ts; read for the response's
   * headers and by resolvers. Absent without a rate limit.
   */
  rateLimit: RateState | undefined;
  /** Whether one run has answered a query without errors. Written by operations/executor.ts. */
  answered: boolean;
  /** Where the answer's values came from. Absent: nothing ran. Written by operations/executor.ts. */
  from: ReadFrom | undefined;
  /** How many cached policies it has read, and of how many something was loaded. Written by operations/executor.ts. */
  policiesRead: number;
  policiesLoaded: number;
  /** Whether the operation may run; rejects with the refusal. Written by operations/operation-plugin.ts, once. */
  decided: Promise<void> | undefined;
  /** The result of the operation, which runs once. Written by operations/executor.ts. */
  result: Promise<ExecutionResult> | undefined;
}

export function emptyOutcome(): OperationOutcome {
  return {
    invalidDocument: false,
    operation: undefined,
    rateLimit: undefined,
    answered: false,
    from: undefined,
    policiesRead: 0,
    policiesLoaded: 0,
    decided: undefined,
    result: undefined,
  };
}

export interface RequestContextOptions {
  readonly sender: Sender;
  readonly readSet: ReadSet;
  readonly outcome: OperationOutcome;
  readonly tracer: Tracer;
  readonly snapshot: boolean;
  readonly lifetime: RequestLifetime;
  readonly rateLimits: RateLimits | undefined;
  readonly request: { readonly id: string };
}

/**
 * Apollo passes a shallow copy of it to plugins and resolvers. Private members are therefore private by convention
 * only, and what execution writes for others is in `outcome`, which all copies share.
 */
export class RequestContext implements Context {
  readonly sender: Sender;
  /** Read only after an identity was checked. */
  readonly viewerId: UserId;
  readonly readSet: ReadSet;
  readonly outcome: OperationOutcome;
  readonly tracer: Tracer;
  readonly snapshot: boolean;
  readonly lifetime: RequestLifetime;
  readonly writes: WriteProgress;
  /** Set by operations/executor.ts for each run. */
  loaders: Loads;
  private readonly rateLimits: RateLimits | undefined;
  private readonly request: RequestContextOptions['request'];

  constructor({ sender, readSet, outcome, tracer, snapshot, lifetime, rateLimits, request }: RequestContextOptions) {
    this.sender = sender;
    this.viewerId = sender.identity?.userId ?? ('' as UserId);
    this.readSet = readSet;
    this.outcome = outcome;
    this.tracer = tracer;
    this.snapshot = snapshot;
    this.lifetime = lifetime;
    this.writes = lifetime.writes;
    this.rateLimits = rateLimits;
    this.request = request;
  }

  get signal(): AbortSignal {
    return this.lifetime.signal;
  }

  get requestId(): string {
    return this.request.id;
  }

  markUncacheable(): UncacheableValues {
    this.readSet.markUncacheable();
    return { scopes: this.sender.identity?.scopes ?? [], rateLimit: this.outcome.rateLimit };
  }

  async charge(points: number): Promise<void> {
    await this.rateLimits?.charge(this.sender.caller, points);
  }
}
