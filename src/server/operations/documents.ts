/**
 * What happens before a document is parsed: a request without a token is refused unless it can only be introspection, a document that was
 * found invalid is answered as before, and a caller who has taken too much time with new documents waits.
 */
import { createHash } from 'node:crypto';
import type { ApolloServerPlugin, HTTPGraphQLResponse } from '@apollo/server';
import {
  type DocumentNode,
  GraphQLError,
  type GraphQLSchema,
  Kind,
  type OperationDefinitionNode,
  parse,
  specifiedRules,
  validate,
} from 'graphql';
import { LRUCache } from 'lru-cache';
import { type Clock, systemClock } from '../../engine/cache/index.js';
import { unauthenticated } from '../../graphql/errors.js';
import { headerMap } from '../../graphql/http-headers.js';
import { LIMITS, PARSE_OPTIONS } from '../../graphql/limits.js';
import { SECOND } from '../../std/time.js';
import type { AdmittedRequest, RequestContext } from '../request-context.js';
import { DocumentStore } from './document-store.js';
import { TimeBudget } from './time-budget.js';
import { type Turns, WHOLE_TURN } from './turns.js';

/** Bounds the responses to invalid documents that are kept, in characters. */
const MAX_REFUSED_CHARS = 1024 * 1024;
/** A viewer's: 100 new documents of a frontend at once, and a twentieth of the process in the long run. */
const VIEWERS_TIME = { burstMs: 1000, msPerSecond: 50 };
/** An address's, for requests without a token: the introspection of tools takes some 10 ms. */
const ANONYMOUS_TIME = { burstMs: 250, msPerSecond: 10 };

/** The sender of a document. */
export type Sender = Pick<AdmittedRequest, 'caller' | 'identity'>;

export interface DocumentsOptions {
  /** Whether the time that one caller takes is bounded. */
  readonly limited: boolean;
  /** New documents are read one in each turn of the event loop. */
  readonly turns: Turns;
  readonly clock?: Clock;
}

export class Documents {
  readonly store = new DocumentStore();
  /** What was answered to invalid documents, by media type and text. */
  readonly #refused = new LRUCache<string, HTTPGraphQLResponse>({
    maxSize: MAX_REFUSED_CHARS,
    sizeCalculation: ({ body }) => 500 + (body.kind === 'complete' ? body.string.length : 0),
  });
  readonly #viewers: TimeBudget;
  readonly #anonymous: TimeBudget;
  readonly #limited: boolean;
  readonly #turns: Turns;

  constructor({ limited, turns, clock = systemClock }: DocumentsOptions) {
    this.#limited = limited;
    this.#turns = turns;
    this.#viewers = new TimeBudget({ ...VIEWERS_TIME, clock });
    this.#anonymous = new TimeBudget({ ...ANONYMOUS_TIME, clock });
  }

  /**
   * Before Apollo reads the document. @returns what was answered when it was found invalid; undefined: it may be read, at once
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

  /** Parses and validates a document that does not come through Apollo. @returns also what is wrong with it */
  async read(
    schema: GraphQLSchema,
    text: string,
    sender: Sender & { hideSuggestions: boolean },
  ): Promise<DocumentNode | GraphQLError[]> {
    const known = this.store.find(text);
    if (known !== undefined) return known;
    await this.#takeTurn(sender);
    const startedMs = performance.now();
    try {
      const document = parse(text, PARSE_OPTIONS);
      const { hideSuggestions } = sender;
      const errors = validate(schema, document, [...specifiedRules, ...LIMITS], { hideSuggestions });
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

  /** Runs work whose time depends on what its sender has sent. `wait`: in a turn of its own. @throws GraphQLError RATE_LIMITED */
  async timed<T>(sender: Sender, work: () => T, { wait }: { wait: boolean }): Promise<T> {
    if (wait) await this.#takeTurn(sender);
    else this.#requireTime(sender);
    const startedMs = performance.now();
    try {
      return work();
    } finally {
      this.#spend(sender, performance.now() - startedMs);
    }
  }

  /** Counts the time that Apollo takes to read a document, and notes the invalid ones. */
  plugin(): ApolloServerPlugin<RequestContext> {
    return {
      requestDidStart: async ({ contextValue: { opened } }) => {
        const timed = async () => {
          const startedMs = performance.now();
          return async (fault?: unknown) => {
            this.#spend(opened, performance.now() - startedMs);
            if (fault !== undefined) opened.invalidDocument = true;
          };
        };
        return { parsingDidStart: timed, validationDidStart: timed };
      },
    };
  }

  async #requireIntrospection(text: string, sender: Sender): Promise<void> {
    if (!text.includes('__')) throw noToken(); // a name of introspection begins so
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

  /** Resolves when the document may be read, at once: those that came before it have been read and counted. @throws RATE_LIMITED */
  async #takeTurn(sender: Sender): Promise<void> {
    this.#requireTime(sender);
    await this.#turns.run(sender.caller, WHOLE_TURN, async () => {});
    this.#requireTime(sender);
  }

  #requireTime(sender: Sender): void {
    const waitMs = this.#limited ? this.#budgetOf(sender).waitMs(sender.caller) : 0;
    if (waitMs > 0) throw outOfTime(waitMs);
  }

  #spend(sender: Sender, ms: number): void {
    if (this.#limited) this.#budgetOf(sender).spend(sender.caller, ms);
  }

  #budgetOf({ identity }: Sender): TimeBudget {
    return identity === undefined ? this.#anonymous : this.#viewers;
  }
}

/** The request has no token, or one that does not count. */
export function noToken(): GraphQLError {
  return unauthenticated('This needs a token: send the header Authorization: Bearer <token>.');
}

/** Only fields of the schema itself, which everyone may read where introspection is on. */
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
  const message = `Too many new documents or large bodies: reading them has taken all the time that one client has. Try again in ${seconds} s; documents that were read before are answered meanwhile.`;
  const http = { status: 429, headers: headerMap([['retry-after', String(seconds)]]) };
  return new GraphQLError(message, { extensions: { code: 'RATE_LIMITED', http } });
}

/** Holds a digest of the text, since clients choose how long it is. */
function refusedKey(text: string, accept = ''): string {
  return `${accept}\n${createHash('sha256').update(text).digest('base64')}`;
}
