/** Documents that were parsed and found valid, so that each is only once. Clients choose them, so what they take is bounded here. */
import type { DocumentNode } from 'graphql';
import { LRUCache } from 'lru-cache';
import { MAX_STORED_DOCUMENT_CHARS } from '../../graphql/limits.js';

interface Stored {
  readonly document: DocumentNode;
  /** Apollo's. Absent where a WebSocket brought the document. */
  readonly key: string | undefined;
}

/** Apollo's `documentStore`, whose own is bounded by what a document is as JSON: its objects are some five times that. */
export class DocumentStore {
  /** The documents by their texts. */
  readonly #documents = new LRUCache<string, Stored>({
    maxSize: MAX_STORED_DOCUMENT_CHARS,
    sizeCalculation: (_, text) => Math.max(1, text.length),
    dispose: ({ key }) => key !== undefined && this.#texts.delete(key),
  });
  /** The texts by Apollo's keys. */
  readonly #texts = new Map<string, string>();

  /** The document that this text is. */
  find(text: string): DocumentNode | undefined {
    return this.#documents.get(text)?.document;
  }

  add(text: string, document: DocumentNode, key?: string): void {
    this.#documents.set(text, { document, key });
    if (key !== undefined && this.#documents.has(text)) this.#texts.set(key, text);
  }

  async get(key: string): Promise<DocumentNode | undefined> {
    const text = this.#texts.get(key);
    return text === undefined ? undefined : this.find(text);
  }

  async set(key: string, document: DocumentNode): Promise<void> {
    const text = document.loc?.source.body;
    if (text !== undefined) this.add(text, document, key);
  }

  async delete(key: string): Promise<boolean> {
    const text = this.#texts.get(key);
    return text !== undefined && this.#documents.delete(text);
  }
}
