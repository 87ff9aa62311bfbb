/** Caches parsed and validated documents. Clients choose the documents, so the memory used for them is bounded here. */
import type { DocumentNode } from 'graphql';
import { LRUCache } from 'lru-cache';
import { MAX_STORED_DOCUMENT_BYTES } from '../../graphql/limits.js';
import { documentBytes } from './document-size.js';

interface Stored {
  readonly document: DocumentNode;
  /** Apollo's key. Absent if the document came over a WebSocket. */
  readonly key: string | undefined;
}

/**
 * Implements Apollo's `documentStore`. Apollo's own is bounded by the size of documents as JSON, and their objects take
 * many times that.
 */
export class DocumentStore {
  /** Documents by text. */
  readonly #documents = new LRUCache<string, Stored>({
    maxSize: MAX_STORED_DOCUMENT_BYTES,
    sizeCalculation: ({ document }) => documentBytes(document),
    dispose: ({ key }) => key !== undefined && this.#texts.delete(key),
  });
  /** Texts by Apollo's key. */
  readonly #texts = new Map<string, string>();

  /** The document with this text. */
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
