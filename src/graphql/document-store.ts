/** Documents that were parsed and found valid, so that each is only once. Clients choose them, so what they take is bounded here. */
import type { DocumentNode } from 'graphql';
import { LRUCache } from 'lru-cache';
import { MAX_STORED_DOCUMENT_CHARS } from './limits.js';

/** For Apollo's `documentStore`, whose own is bounded by what a document is as JSON: its objects are some five times that. */
export function documentStore() {
  const documents = new LRUCache<string, DocumentNode>({
    maxSize: MAX_STORED_DOCUMENT_CHARS,
    sizeCalculation: ({ loc }) => Math.max(1, loc?.source.body.length ?? 0),
  });
  return {
    get: async (hash: string) => documents.get(hash),
    set: async (hash: string, document: DocumentNode) => {
      documents.set(hash, document);
    },
    delete: async (hash: string) => documents.delete(hash),
  };
}
