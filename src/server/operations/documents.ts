/**
 * Checks made before a document is parsed. A request without a token is refused unless it can be introspection. A
 * document known to be invalid gets its earlier response. A caller that has used too much time with new documents
 * waits.
 */
import { createHash } from 'node:crypto';
import type { ApolloServerPlugin, HTTPGraphQLResponse } from '@apollo/server';
import {
  type DocumentNode,
  GraphQLError,
  type GraphQLSchema,
  Kind,
  NoSchemaIntrospectionCustomRule,
  type OperationDefinitionNode,
  parse,
  specifiedRules,
  type ValidationRule,
  validate,
} from 'graphql';
import { LRUCache } from 'lru-cache';
import { type Clock, systemClock } from '../../engine/cache/index.js';
import { unauthenticated } from '../../graphql/errors.js';
import { headerMap } from '../../graphql/http-headers.js';
import { LIMITS, PARSE_OPTIONS } from '../../graphql/limits.js';
import { SECOND } from '../../std/time.js';
import type { Sender } from '../admission.js';
import type { RequestContext } from '../request-context.js';
import { DocumentStore } from './document-store.js';
import { TimeBudget } from './time-budget.js';
import { type Turns, WHOLE_TURN } from './turns.js';

/** Maximum size of cached responses to invalid documents, in characters. */
const MAX_REFUSED_CHARS = 1024 * 1024;
/** Time budget of a viewer: 100 new documents of a frontend at once, and 5 % of the process in the long run. */
const VIEWERS_TIME = { burstMs: 1000, msPerSecond: 50 };
/** Time budget of an address, for requests without a token. Introspection by tools takes about 10 ms. */
const ANONYMOUS_TIME = { burstMs: 250, msPerSecond: 10 };

export interface DocumentsOptions {
  /** Whether the time of one caller is limited. */
  readonly limited: boolean;
  /** Whether introspection is answered. Apollo has its own option for what it reads. */
  readonly introspection: boolean;
  /** New documents are read one per event-loop tick. */
  readonly turns: Turns;
  readonly clock?: Clock;
}

export class Documents {
  readonly store = new DocumentStore();
  /** Responses to invalid documents, by media type and text. */
  readonly #refused = new LRUCache<string, HTTPGraphQLResponse>({
    maxSize: MAX_REFUSED_CHARS,
    sizeCalculation: ({ body }) => 500 + (body.kind === 'complete' ? body.string.length : 0),
  });
  readonly #viewers: TimeBudget;
  readonly #anonymous: TimeBudget;
  readonly #limited: boolean;
  readonly #rules: readonly ValidationRule[];
  readonly #turns: Turns;

  constructor({ limited, introspection, turns, clock = systemClock }: DocumentsOptions) {
    this.#limited = limited;
    this.#rules = [...specifiedRules, ...LIMITS, ...(introspection ? [] : [NoSchemaIntrospectionCustomRule])];
    this.#turns = turns;
    this.#viewers = new TimeBudget({ ...VIEWERS_TIME, clock });
    this.#anonymous = new TimeBudget({ ...ANONYMOUS_TIME, clock });
  }

  /**
   * Call before Apollo reads the document. @returns the earlier response to an invalid document; undefined if it can be
   * read now
   * @throws GraphQLError UNAUTHENTICATED, RATE_LIMITED
   */
  async admit(text: string, accept: string | undefined, sender: Sender): Promise<HTTPGraphQLResponse | undefined> {
    if (sender.identity === undefined) await this.#requireIntrospection(text, sender);
    if (this.store.find(text) !== undefined) return undefined;
    const refused = this.#refused.size === 0 ? undefined : this.#refused.get(refusedKey(text, accept));
    if (refused === undefined) await this.#takeTurn(sender);
    return refused;
  }

  refuse(text: string, accept: string | undefined, response: HTTPGraphQLResponse): void {
    this.#refused.set(refusedKey(text, accept), response);
  }

  /** Parses and validates a document that does not come through Apollo. @returns the document and its errors */
  async read(
    schema: GraphQLSchema,
    text: string,
    sender: Sender & { hideSuggestions: boolean },
  ): Promise<DocumentNode | GraphQLError[]> {
    const known = this.store.find(text);
    if (known !== undefined) return known;
    await this.#takeTurn(sender);
    const readMeanwhile = this.store.find(text); // so that clients which connect at once share it
    if (readMeanwhile !== undefined) return readMeanwhile;
    const startedMs = performance.now();
    try {
      const document = parse(text, PARSE_OPTIONS);
      const { hideSuggestions } = sender;
      const errors = validate(schema, document, this.#rules, { hideSuggestions });
      if (errors.length > 0) return errors.map((error) => coded(error, 'GRAPHQL_VALIDATION_FAILED'));
      this.store.add(text, document);
      return document;
    } catch (error) {
      if (error instanceof GraphQLError) return [coded(error, 'GRAPHQL_PARSE_FAILED')];
      throw error;
    } finally {
      this.#spend(sender, performance.now() - startedMs);
    }
  }

  /**
   * Runs work whose duration depends on the sender's input. `wait`: in an event-loop tick of its own. @throws
   * GraphQLError RATE_LIMITED
   */
  async timed<T>(sender: Sender, work: () => T, { wait }: { wait: boolean }): Promise<T> {
    if (wait) await this.#takeTurn(sender);
    else this.#requireTime(sender);
    return this.#measured(sender, work);
  }

  /** The same at once. Undefined if the sender has no time left. */
  timedNow<T>(sender: Sender, work: () => T): T | undefined {
    return this.#waitMs(sender) > 0 ? undefined : this.#measured(sender, work);
  }

  /** Measures the time Apollo takes to read a document, and remembers invalid ones. */
  plugin(): ApolloServerPlugin<RequestContext> {
    return {
      requestDidStart: async ({ contextValue: { sender, outcome } }) => {
        const timed = async () => {
          const startedMs = performance.now();
          return async (fault?: unknown) => {
            this.#spend(sender, performance.now() - startedMs);
            if (fault !== undefined) outcome.invalidDocument = true;
          };
        };
        return { parsingDidStart: timed, validationDidStart: timed };
      },
    };
  }

  async #requireIntrospection(text: string, sender: Sender): Promise<void> {
    if (!text.includes('__')) throw noToken(); // names of introspection fields begin with `__`
    const known = this.store.find(text);
    if (known !== undefined) {
      if (isIntrospection(known)) return;
      throw noToken();
    }
    await this.#takeTurn(sender);
    const startedMs = performance.now();
    const document = parsed(text);
    this.#spend(sender, performance.now() - startedMs);
    if (document === undefined || !isIntrospection(document)) throw noToken();
  }

  /**
   * Resolves when the document can be read: documents that came earlier have been read and counted. @throws
   * RATE_LIMITED
   */
  async #takeTurn(sender: Sender): Promise<void> {
    this.#requireTime(sender);
    await this.#turns.run(sender.caller, WHOLE_TURN, async () => {});
    this.#requireTime(sender);
  }

  #requireTime(sender: Sender): void {
    const waitMs = this.#waitMs(sender);
    if (waitMs > 0) throw outOfTime(waitMs);
  }

  #waitMs(sender: Sender): number {
    return this.#limited ? this.#budgetOf(sender).waitMs(sender.caller) : 0;
  }

  #measured<T>(sender: Sender, work: () => T): T {
    const startedMs = performance.now();
    try {
      return work();
    } finally {
      this.#spend(sender, performance.now() - startedMs);
    }
  }

  #spend(sender: Sender, ms: number): void {
    if (this.#limited) this.#budgetOf(sender).spend(sender.caller, ms);
  }

  #budgetOf({ identity }: Sender): TimeBudget {
    return identity === undefined ? this.#anonymous : this.#viewers;
  }
}

/** The request has no token, or an invalid one. */
export function noToken(): GraphQLError {
  return unauthenticated('Authentication required: send the header Authorization: Bearer <token>.', 'Bearer');
}

/** Whether it selects only introspection fields, which everyone may read if introspection is enabled. */
export function isIntrospectionOperation({ operation, selectionSet }: OperationDefinitionNode): boolean {
  return (
    operation === 'query' &&
    selectionSet.selections.every((selection) => selection.kind === Kind.FIELD && selection.name.value.startsWith('__'))
  );
}

function isIntrospection({ definitions }: DocumentNode): boolean {
  const operations = definitions.filter((definition) => definition.kind === Kind.OPERATION_DEFINITION);
  return operations.length > 0 && operations.every(isIntrospectionOperation);
}

function parsed(text: string): DocumentNode | undefined {
  try {
    return parse(text, PARSE_OPTIONS);
  } catch (error) {
    if (error instanceof GraphQLError) return undefined;
    throw error;
  }
}

function coded(error: GraphQLError, code: string): GraphQLError {
  Object.assign(error.extensions, { code });
  return error;
}

function outOfTime(waitMs: number): GraphQLError {
  const seconds = Math.ceil(waitMs / SECOND);
  const message =
    `Too many new documents or large bodies: the time budget of this client is used up. Try again in ${seconds} ` +
    's; known documents are answered meanwhile.';
  const http = { status: 429, headers: headerMap([['retry-after', String(seconds)]]) };
  return new GraphQLError(message, { extensions: { code: 'RATE_LIMITED', http } });
}

/** Contains a digest of the text, because clients choose its length. */
function refusedKey(text: string, accept = ''): string {
  return `${accept}\n${createHash('sha256').update(text).digest('base64')}`;
}
