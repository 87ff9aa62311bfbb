/**
 * Bounds the operations of clients that stay connected: their number for each connection and viewer, and the memory of
 * what is kept while their clients listen, documents and variables. Operations with one text share its document, which
 * counts once for each viewer and once for the process.
 */
import type { DocumentNode, GraphQLError } from 'graphql';
import { tooManySubscriptions } from '../../graphql/errors.js';
import type { SubscriptionLimits } from '../../platform/subscription-limits.js';
import { documentBytes, valueBytes } from '../operations/document-size.js';

const MIB = 1024 * 1024;

/** The place of one operation, from before it is accepted until it ends. */
export interface OperationSlot {
  /** Counts what the operation keeps in memory. Call once. @throws TOO_MANY_SUBSCRIPTIONS */
  hold(document: DocumentNode, variables: unknown): void;
  /** Releases the slot and what it holds, once. */
  release(): void;
}

/** What one operation keeps in memory. */
interface Content {
  readonly document: DocumentNode;
  readonly documentBytes: number;
  readonly variableBytes: number;
}

export class OperationSlots {
  readonly #limits: SubscriptionLimits;
  readonly #process = new Operations();
  readonly #viewers = new Map<string, Operations>();
  /** Documents that are held, by text. */
  readonly #documents = new Map<string, DocumentNode>();

  constructor(limits: SubscriptionLimits) {
    this.#limits = limits;
  }

  /** Number of slots that are taken. */
  get taken(): number {
    return this.#process.count;
  }

  /** The document with this text, if an operation holds it. */
  documentOf(text: string): DocumentNode | undefined {
    return this.#documents.get(text);
  }

  /** Counts an operation. @returns its slot, or the refusal */
  take(connection: { subscriptions: number }, viewer: string): OperationSlot | GraphQLError {
    const { maxSubscriptions, maxSubscriptionsPerViewer } = this.#limits;
    if (connection.subscriptions >= maxSubscriptions) {
      const message = `A connection can have at most ${maxSubscriptions} subscriptions and live queries.`;
      return tooManySubscriptions(message);
    }
    const operations = this.#viewers.get(viewer) ?? new Operations();
    if (operations.count >= maxSubscriptionsPerViewer) {
      const message = `A viewer can have at most ${maxSubscriptionsPerViewer} subscriptions and live queries on all connections.`;
      return tooManySubscriptions(message);
    }
    this.#viewers.set(viewer, operations);
    const all = [operations, this.#process];
    for (const one of all) one.count++;
    connection.subscriptions++;
    let content: Content | undefined;
    let isReleased = false;
    return {
      hold: (document, variables) => {
        content = this.#hold(operations, {
          document,
          documentBytes: documentBytes(document),
          variableBytes: valueBytes(variables),
        });
      },
      release: () => {
        if (isReleased) return;
        isReleased = true;
        connection.subscriptions--;
        for (const one of all) one.count--;
        if (content !== undefined) this.#drop(operations, content);
        if (operations.count === 0) this.#viewers.delete(viewer);
      },
    };
  }

  #hold(operations: Operations, content: Content): Content {
    const { maxHeldBytes, maxHeldBytesPerViewer } = this.#limits;
    if (operations.bytesWith(content) > maxHeldBytesPerViewer) {
      throw tooManySubscriptions(
        `The documents and variables of a viewer's subscriptions and live queries can take at most ${mebibytes(maxHeldBytesPerViewer)} ` +
          'of memory. Operations that differ only in the values of variables share a document.',
      );
    }
    if (this.#process.bytesWith(content) > maxHeldBytes) {
      throw tooManySubscriptions(
        'This process has its maximum of documents and variables of subscriptions and live queries. Try again later.',
        503,
      );
    }
    operations.add(content);
    this.#process.add(content);
    const text = textOf(content.document);
    if (!this.#documents.has(text)) this.#documents.set(text, content.document);
    return content;
  }

  #drop(operations: Operations, content: Content): void {
    const { document } = content;
    operations.remove(content);
    this.#process.remove(content);
    const text = textOf(document);
    if (!this.#process.holds(document) && this.#documents.get(text) === document) this.#documents.delete(text);
  }
}

/** The operations of a viewer or of the process. */
class Operations {
  count = 0;
  #bytes = 0;
  /** How many operations hold a document. */
  readonly #uses = new Map<DocumentNode, number>();

  holds(document: DocumentNode): boolean {
    return this.#uses.has(document);
  }

  /** The bytes of all operations, with those of one more. */
  bytesWith({ document, documentBytes, variableBytes }: Content): number {
    return this.#bytes + variableBytes + (this.holds(document) ? 0 : documentBytes);
  }

  add(content: Content): void {
    const { document } = content;
    this.#bytes = this.bytesWith(content);
    this.#uses.set(document, (this.#uses.get(document) ?? 0) + 1);
  }

  remove({ document, documentBytes, variableBytes }: Content): void {
    const left = (this.#uses.get(document) ?? 1) - 1;
    this.#bytes -= variableBytes + (left === 0 ? documentBytes : 0);
    if (left === 0) this.#uses.delete(document);
    else this.#uses.set(document, left);
  }
}

function textOf(document: DocumentNode): string {
  return document.loc?.source.body ?? '';
}

function mebibytes(bytes: number): string {
  return `${Math.round((bytes / MIB) * 10) / 10} MiB`;
}
