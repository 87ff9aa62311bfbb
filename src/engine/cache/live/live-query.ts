/**
 * Live queries, as their clients and their server see them. A live query is an operation of one viewer, answered again
 * when its answer changes. All its clients share its runs.
 */
import type { ReadSet } from '../read-set.js';
import type { Tag } from '../tag.js';

/** What a live query answers, and how. */
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
   * Answers once, reading through `run.readSet`, which has to know of everything that the answer shows: what it does
   * not give marks it with `markUncacheable`. Clients are sent the text. It holds one of the process's places for runs
   * until it ends, so it ends soon, and at once when `run.signal` aborts.
   * @throws anything: the run has failed, nothing is sent, and it is repeated; RunLater: not before that time
   */
  readonly run: (run: LiveRun) => Promise<string>;
}

export interface LiveRun {
  /** Opened for answers, when the run began. */
  readonly readSet: ReadSet;
  /** Aborts when the last client has left. */
  readonly signal: AbortSignal;
  /** Whether its answer is the first one of a client. */
  readonly isFirst: boolean;
  /** Whether the answer before had this text. Then it is sent only to clients that wait for an answer. */
  isUnchanged(text: string): boolean;
}

/** Thrown by a run that cannot be made now. */
export class RunLater extends Error {
  override readonly name = 'RunLater';

  constructor(
    /** From now, in ms. */
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
  /** Takes a new answer. Called while a run ends, so it must neither throw nor wait. */
  answered(answer: LiveAnswer): void;
}

export interface LiveMembership {
  /** Sends the answer of a run that begins after this call, also if it has not changed. */
  again(): void;
  /** No answer comes after this. */
  leave(): void;
}

/** A client from its `join` to its `leave`. */
export interface Member {
  readonly client: LiveClient;
  isAnswered: boolean;
}

/** The state of a live query. Only live-queries.ts changes it. */
export class LiveQuery {
  readonly members = new Set<Member>();
  /** Members that are sent the answer of the next run in any case. */
  waiting = new Set<Member>();
  /** The tags under which the index has it. */
  tags: ReadonlySet<Tag> = new Set();
  /** Whether these are all tags of its answer. */
  isIndexed = true;
  /** Of the last answer. The text is not kept. */
  digest: string | undefined;
  /** The number of runs begun. */
  runs = 0;
  /** `waiting`: for its time, or for nothing. `queued`: for its turn. */
  state: 'waiting' | 'queued' | 'running' = 'waiting';
  /** When its next run became due. Undefined: none is due. Monotonic, ms. */
  dueSinceMs: number | undefined;
  /** When the last run began. Monotonic, ms. */
  beganMs = Number.NEGATIVE_INFINITY;
  /** No run begins before, unless a client joins. Monotonic, ms. */
  notBeforeMs = Number.NEGATIVE_INFINITY;
  /** How many runs in a row have given nothing that is proved, since a tag of the answer was named. */
  unproved = 0;
  /** Whether the last answer shows what no record names: then being named does not bring it nearer to a proof. */
  isUncacheable = false;
  /** How many runs in a row have failed. */
  failures = 0;
  timer: NodeJS.Timeout | undefined;
  timerAtMs = Number.POSITIVE_INFINITY;
  readonly gone = new AbortController();

  constructor(readonly source: LiveSource) {}

  /** Whose share of the index it takes. */
  get owner(): string {
    return this.source.viewer;
  }

  get isSettled(): boolean {
    return this.dueSinceMs === undefined && this.state !== 'running';
  }
}
