/**
 * Live queries, as their clients and the server see them. A live query is an operation of one viewer that is answered
 * again when its answer changes. All its clients share its runs.
 */
import type { ReadSet } from '../read-set.js';
import type { Tag } from '../tag.js';

/** What a live query is, and how it is answered. */
export interface LiveSource {
  /**
   * Names all that an answer depends on besides data: operation, variables, viewer, scopes. Clients with equal keys
   * share runs.
   */
  readonly key: string;
  /** Runs of different viewers take turns. */
  readonly viewer: string;
  /** The least time between the beginnings of two runs, in ms. A client that joins does not wait for it. */
  readonly throttleMs: number;
  /**
   * Answers once; clients are sent the text. It reads through `run.readSet`, and calls `markUncacheable` on it if the
   * answer shows anything else. At most 16 runs are in progress in a process, so it must end soon, and at once when
   * `run.signal` aborts.
   * @throws RunLater: the run is made again when that time is over; anything else: it has failed, and is repeated after
   * 50 ms to 2 s. Nothing is sent in either case
   */
  readonly run: (run: LiveRun) => Promise<string>;
}

export interface LiveRun {
  /** A read set for an answer, opened when the run began. */
  readonly readSet: ReadSet;
  /** Aborts when the last client has left. */
  readonly signal: AbortSignal;
  /** Whether a client waits for its first answer. */
  readonly isFirst: boolean;
  /** Whether the last answer had this text. Then the answer is sent only to clients that wait for one. */
  isUnchanged(text: string): boolean;
}

/** Thrown by a run that cannot be made now. */
export class RunLater extends Error {
  override readonly name = 'RunLater';

  constructor(
    /** The least time until the next run, in ms. */
    readonly afterMs: number,
  ) {
    super(`try again in ${afterMs} ms`);
  }
}

export interface LiveAnswer {
  /** Rises from answer to answer of one live query. */
  readonly number: number;
  readonly text: string;
  /** Equal for equal texts, and for no others: 43 characters of SHA-256. */
  readonly digest: string;
}

export interface LiveClient {
  /** Takes an answer. Called while a run ends, so it must neither throw nor wait. */
  answered(answer: LiveAnswer): void;
}

export interface LiveMembership {
  /** Sends the answer of a run that begins after this call, even if it has not changed. */
  again(): void;
  /** The client gets no answer after this call. */
  leave(): void;
}

/** How a run of a live query ended. */
export interface LiveRunEnded {
  /** `sent`: with an answer that differs from the one before. `postponed`: with `RunLater`. */
  readonly result: 'sent' | 'unchanged' | 'postponed' | 'failed';
  readonly proved: boolean;
  /** Why the run failed. */
  readonly error?: unknown;
  /** Duration of the run. */
  readonly ms: number;
  /** From when the run became due to its end, in ms. */
  readonly dueMs: number;
}

export interface LiveOptions {
  /** Maximum number of live queries in this process. Default 20 000. */
  readonly maxQueries?: number;
  /**
   * Maximum number of tags in the index, of all answers together; one viewer gets at most a quarter. Live queries whose
   * tags do not fit are repeated by a timer. Default 1 000 000.
   */
  readonly maxTags?: number;
  /** Called at the end of each run. It must not throw. */
  readonly ended?: (run: LiveRunEnded) => void;
  /** A number in [0, 1), to spread runs. Default: Math.random. */
  readonly random?: () => number;
}

export interface LiveState {
  readonly queries: number;
  readonly clients: number;
  /** Runs in progress. */
  readonly running: number;
  /** Live queries that are not settled. */
  readonly due: number;
  /** Tags in the index. */
  readonly tags: number;
  /** Live queries whose tags do not fit into it. */
  readonly unindexed: number;
}

/** The process has its maximum number of live queries. */
export class TooManyLiveQueries extends Error {
  override readonly name = 'TooManyLiveQueries';
}

/** A client from its `join` to its `leave`. */
export interface Member {
  readonly client: LiveClient;
  isAnswered: boolean;
}

/** The state of a live query. Only live-queries.ts changes it. */
export class LiveQuery {
  readonly members = new Set<Member>();
  /** Members that are sent the answer of the next run even if it has not changed. */
  waiting = new Set<Member>();
  /** The tags under which it is in the index. */
  tags: ReadonlySet<Tag> = new Set();
  /** Whether these are all tags of its answer. */
  isIndexed = true;
  /** The digest of the last answer, whose text is not kept. Undefined before the first. */
  digest: string | undefined;
  /** The number of runs begun. */
  runs = 0;
  /** `waiting`: for its timer, or for nothing. `queued`: for its turn. */
  state: 'waiting' | 'queued' | 'running' = 'waiting';
  /** When its next run became due. Undefined: none is due. Monotonic, ms. */
  dueSinceMs: number | undefined;
  /** When the last run began. Monotonic, ms. */
  beganMs = Number.NEGATIVE_INFINITY;
  /** No run begins before this time, unless a client joins. Monotonic, ms. */
  notBeforeMs = Number.NEGATIVE_INFINITY;
  /** Unproved runs in a row, since a tag of the answer was last named. */
  unproved = 0;
  /** Whether the last answer shows what no record names. Then a record of its tags brings a proof no nearer. */
  isUncacheable = false;
  /** Failed runs in a row. */
  failures = 0;
  timer: NodeJS.Timeout | undefined;
  /** When the timer is due. Monotonic, ms. */
  timerAtMs = Number.POSITIVE_INFINITY;
  /** Aborts when the last client has left. */
  readonly gone = new AbortController();

  constructor(readonly source: LiveSource) {}

  /** The viewer: the tags count towards its share of the index. */
  get owner(): string {
    return this.source.viewer;
  }

  get isSettled(): boolean {
    return this.dueSinceMs === undefined && this.state !== 'running';
  }
}
