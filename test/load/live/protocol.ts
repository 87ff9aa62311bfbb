/** What the runner and the process of its clients say to each other, and the clock that they share. */

export interface Question {
  readonly query: string;
  readonly variables: Readonly<Record<string, unknown>>;
}

export interface ClientConnection {
  /** Of a process, with its path. */
  readonly url: string;
  readonly token: string;
  readonly questions: readonly Question[];
}

export type ClientKind = 'live' | 'polling';

export type ToClients =
  | { readonly kind: 'connect'; readonly as: ClientKind; readonly connections: readonly ClientConnection[] }
  /** Live queries are subscribed to, or polling begins. Done when each has been answered once. */
  | { readonly kind: 'begin' }
  /** What has come since this was last sent is forgotten. */
  | { readonly kind: 'reset' }
  | { readonly kind: 'report' }
  /** Asks each question by POST, until the last answer of its client is the same, or the time is over. */
  | { readonly kind: 'compare'; readonly withinMs: number };

/** Sent when what `done` names has been done. */
export type FromClients =
  | { readonly done: 'connect' | 'begin' | 'reset' }
  | { readonly done: 'report'; readonly report: ClientReport }
  | { readonly done: 'compare'; readonly different: number; readonly example: string | undefined };

export interface ClientReport {
  readonly receipts: readonly Receipt[];
  /** Answers of live queries, or of polls. */
  readonly answers: number;
  readonly problems: number;
  /** The first of them. */
  readonly problem: string | undefined;
  /** Share of the time in which the process of the clients was not idle. */
  readonly busy: number;
}

/** A client had the task in one version and gets it in a later one. */
export interface Receipt {
  readonly task: string;
  readonly from: number;
  readonly to: number;
  readonly atMs: number;
}

/** Of all processes of the machine the same clock. */
export function clockMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
