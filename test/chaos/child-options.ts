/** What the runner and an API process say to each other. */
import type { TokenOptions } from '../../src/server/auth/tokens.js';
import type { StoreAddress } from './topology.js';

export interface ChildOptions {
  readonly databaseUrl: string;
  readonly store: StoreAddress;
  /** Of the store's keys. */
  readonly group: string;
  readonly tokens: TokenOptions;
  /** What of the engine is switched off, to see the checker find it. */
  readonly breaks: 'fence' | undefined;
  /** Whether values are also kept in process memory. */
  readonly nearCache: boolean;
}

export type ToChild =
  | { readonly kind: 'arm'; readonly hook: string; readonly signal: 'SIGKILL' | 'SIGSTOP' }
  | { readonly kind: 'disarm' };

export type FromChild =
  | { readonly kind: 'ready'; readonly port: number }
  /** Since the process began: cached calls by how they ended, reads served as known answers (`answer`), and commits without a fence. */
  | { readonly kind: 'counts'; readonly outcomes: Readonly<Record<string, number>>; readonly unfenced: number };

/** The steps at which a process can be killed or stopped; the store's methods give them their names. */
export const HOOKS = [
  'before fence',
  'after fence',
  'before commit',
  'during commit',
  'before release',
  'after release',
  'before read',
  'after read',
  'before fill',
  'before head',
  'before apply',
  'after apply',
] as const;
