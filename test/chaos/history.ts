/**
 * The history checker: is what readers were told what the database held while they asked? Streaming and linear in time; it
 * keeps a few versions for each row and forgets what no open operation can contradict any more.
 *
 * Every row has a version that each of its updates raises by one, so the writes of a row are in one order, and the whole rule is:
 * a read returns a version not below any that an operation acknowledged or returned which ENDED before the read BEGAN, and not
 * above what the updates begun before the read ended can have made. All times are of one process and one clock.
 */

/** What the protocol promises where it does not promise exactness: LEASE_MS. */
const PROMISE_MS = 2000;
/** What measuring adds: an answer's way back, a busy event loop. */
const SLACK_MS = 250;
/** For how long the first operation that a stale read contradicts can still be named. */
const RETAIN_MS = 30_000;
/** By then an update whose end was never learnt is over: longer than any statement timeout, pause or hang of a run. */
const UNKNOWN_OVER_MS = 60_000;
const MAX_DETAILS = 50;
const MAX_KNOWN_STATES = 500;
const MAX_KNOWN_VECTORS = 5000;

/** `fenced`: written by the API, promised to be exact. `bare`: written around it, promised to be seen within PROMISE_MS. */
export type RowKind = 'fenced' | 'bare';
export type OperationKind = 'read' | 'write' | 'probe';

export interface Operation {
  readonly id: number;
  readonly kind: OperationKind;
  readonly startedMs: number;
  /** For reports: which process, which query. */
  readonly what: string;
}

/** A row as an answer or an acknowledgement showed it. `state`: what lists choose by. */
export interface Seen {
  readonly row: string;
  readonly version: number;
  readonly state?: string | undefined;
}

/** A list as an answer showed it: of `rows`, all that there are, `present` were in it; those in a state of `states` should be. */
export interface SeenList {
  readonly rows: readonly string[];
  readonly present: ReadonlySet<string>;
  readonly states: ReadonlySet<string>;
}

/** Counts for one cell of the matrix. */
export interface Tally {
  /** Rows of answers, each one read. */
  reads: number;
  lists: number;
  snapshots: number;
  violations: number;
  /** Stale within what the protocol promises there: of bare rows, or inside a partition. */
  tolerated: number;
  worstInsideMs: number;
  worstOutsideMs: number;
  worstBareMs: number;
  /** Answers of live queries after the first. */
  liveAnswers: number;
  /** How often a live reader came to hold what was acknowledged before; at the latest, after a fault and in calm. */
  liveChecks: number;
  worstLiveMs: number;
  worstLiveCalmMs: number;
}

export const emptyTally = (): Tally => ({
  reads: 0,
  lists: 0,
  snapshots: 0,
  violations: 0,
  tolerated: 0,
  worstInsideMs: 0,
  worstOutsideMs: 0,
  worstBareMs: 0,
  liveAnswers: 0,
  liveChecks: 0,
  worstLiveMs: 0,
  worstLiveCalmMs: 0,
});

export interface Violation {
  readonly rule: 'stale' | 'future' | 'state' | 'list' | 'snapshot' | 'order' | 'bound' | 'quiet';
  readonly row: string;
  readonly label: string;
  readonly what: string;
  readonly startedMs: number;
  readonly endedMs: number;
  readonly got: string;
  readonly expected: string;
  /** The first operation that contradicts the read, and how long it had ended when the read began. */
  readonly contradictedBy: string;
  readonly staleMs: number;
  readonly inPartition: boolean;
}

/** A version proved by an operation that ended then. In rising order of both. */
interface Proof {
  readonly version: number;
  readonly endedMs: number;
  readonly by: string;
}

class Row {
  readonly proofs: Proof[] = [];
  /** The first of `proofs` that is still needed; the others are cut off now and then. */
  firstProof = 0;
  /** Updates begun, and those of them that are over: acknowledged, refused, or unknown for long enough. */
  begun = 0;
  over = 0;
  /** No version can be above `base + begun`. Probes bring it down when updates have failed. */
  base: number;
  /** By version, where an acknowledgement or an answer told it. */
  readonly states = new Map<number, string>();

  constructor(
    readonly kind: RowKind,
    version: number,
  ) {
    this.base = version;
  }

  /** The proofs with a version above, or an end from, the one that is looked for. */
  proofIndex(fits: (proof: Proof) => boolean): number {
    let low = this.firstProof;
    let high = this.proofs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (fits(this.proofs[middle] as Proof)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** What every operation beginning at `startedMs` has to return at least. */
  floorAt(startedMs: number): Proof | undefined {
    const index = this.proofIndex(({ endedMs }) => endedMs >= startedMs) - 1;
    return index < this.firstProof ? undefined : this.proofs[index];
  }

  prove(proof: Proof, neededFromMs: number): void {
    const last = this.proofs.at(-1);
    if (last !== undefined && last.version >= proof.version) return;
    this.proofs.push(proof);
    // The last proof before the oldest open operation is still its floor.
    while (
      this.firstProof + 1 < this.proofs.length &&
      (this.proofs[this.firstProof + 1] as Proof).endedMs < neededFromMs
    )
      this.firstProof++;
    if (this.firstProof > 64 && this.firstProof * 2 > this.proofs.length) {
      this.proofs.splice(0, this.firstProof);
      this.firstProof = 0;
    }
  }

  know(version: number, state: string | undefined): void {
    if (state === undefined || this.states.has(version)) return;
    this.states.set(version, state);
    if (this.states.size > MAX_KNOWN_STATES) this.states.delete(this.states.keys().next().value as number);
  }
}

export class History {
  readonly violations: Violation[] = [];
  readonly total = emptyTally();
  readonly #now: () => number;
  readonly #rows = new Map<string, Row>();
  readonly #open = new Map<number, Operation>();
  /** Updates whose end was never learnt, in the order in which they became so. */
  readonly #unknown: { readonly row: Row; readonly sinceMs: number }[] = [];
  readonly #vectors = new Map<string, string>();
  #nextId = 0;
  #label = 'none';
  #tally = emptyTally();
  /** Reads that began before this are inside a partition. */
  #partitionUntilMs = Number.NEGATIVE_INFINITY;
  /** Operations that began before this belong to a history that is gone, and are not checked. */
  #beganMs = Number.NEGATIVE_INFINITY;
  /** Of reads, as long ago as RETAIN_MS. */
  readonly #lengths: { readonly endedMs: number; readonly ms: number }[] = [];
  /** Rises when another database replaces this one. */
  generation = 0;

  /** `now`: monotonic, ms. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** How much is remembered, all rows together. */
  get proofs(): number {
    return [...this.#rows.values()].reduce((sum, { proofs }) => sum + proofs.length, 0);
  }

  addRow(row: string, kind: RowKind, version: number, state?: string): void {
    const added = new Row(kind, version);
    added.prove({ version, endedMs: this.#now(), by: 'the beginning' }, this.#now());
    added.know(version, state);
    this.#rows.set(row, added);
  }

  /** From now on reads are counted in this cell, too. */
  countIn(label: string, tally: Tally): void {
    this.#label = label;
    this.#tally = tally;
  }

  /** From now on some side has lost a Redis that another has: within PROMISE_MS is all that is promised. */
  partitionBegins(): void {
    this.#partitionUntilMs = Number.POSITIVE_INFINITY;
  }

  partitionEnds(): void {
    this.#partitionUntilMs = this.#now() + PROMISE_MS + SLACK_MS;
  }

  /** Another database is about to replace this one: nothing is checked until `restart`. */
  pause(): void {
    this.#beganMs = Number.POSITIVE_INFINITY;
  }

  /**
   * A new history begins with what the database holds now, while no write is under way. Its versions may be lower than those before, which
   * no read may return any more.
   */
  restart(seen: readonly Seen[]): void {
    const nowMs = this.#now();
    for (const { row, version, state } of seen) {
      const before = this.#row(row);
      const fresh = new Row(before.kind, version);
      fresh.begun = before.begun - before.over; // what is not known to be over may still happen
      fresh.prove({ version, endedMs: nowMs, by: 'the new beginning' }, nowMs);
      fresh.know(version, state);
      this.#rows.set(row, fresh);
    }
    this.#vectors.clear();
    this.#beganMs = nowMs;
    this.generation++;
  }

  /** An answer of a live query after the first: when its run began is not known, but not before `sinceMs`. */
  checkLive(what: string, sinceMs: number, seen: readonly Seen[], list: SeenList | undefined): void {
    const operation: Operation = { id: -1, kind: 'read', startedMs: sinceMs, what };
    this.#count('liveAnswers', 1);
    if (this.#now() < this.#beganMs) return;
    const endedMs = this.#now();
    const checked = { ...operation, startedMs: Math.max(sinceMs, this.#beganMs) };
    for (const one of seen) this.#check(checked, endedMs, one);
    if (list !== undefined) this.#checkList(checked, endedMs, list);
  }

  /**
   * No row of `seen` is older than one client was sent before: `versions`, which is brought up to date. Rows that are
   * written around the API may be, and all in a partition.
   */
  checkOrder(what: string, versions: Map<string, number>, seen: readonly Seen[]): void {
    const nowMs = this.#now();
    for (const { row, version } of seen) {
      const before = versions.get(row) ?? version;
      versions.set(row, version);
      if (version >= before || nowMs < this.#beganMs || this.#row(row).kind === 'bare') continue;
      if (nowMs < this.#partitionUntilMs) this.#count('tolerated', 1);
      else this.liveViolation('order', `${what}: ${row} was version ${before}, then ${version}`);
    }
  }

  /** Whether an answer is older than what was acknowledged before `sinceMs`. */
  isBehind(sinceMs: number, seen: readonly Seen[], list: SeenList | undefined): boolean {
    if (sinceMs < this.#beganMs) return false;
    const held = new Map(seen.map(({ row, version }) => [row, version]));
    const floorOf = (row: string) => this.#row(row).floorAt(sinceMs)?.version ?? 0;
    for (const [row, version] of held) if (version < floorOf(row)) return true;
    return list?.rows.some((row) => !held.has(row) && this.#mustBeIn(list, row, floorOf(row))) === true;
  }

  /** The rows that make it so. */
  behind(sinceMs: number, seen: readonly Seen[]): string {
    const rows = seen.flatMap(({ row, version }) => {
      const floor = this.#row(row).floorAt(sinceMs);
      return floor !== undefined && version < floor.version
        ? [`${row} ${version} < ${floor.version} by ${floor.by}`]
        : [];
    });
    return rows.length === 0 ? 'a row is not in the list' : rows.join(', ');
  }

  #mustBeIn({ states }: SeenList, id: string, floor: number): boolean {
    const row = this.#row(id);
    for (let version = floor; version <= row.base + row.begun; version++) {
      const state = row.states.get(version);
      if (state === undefined || !states.has(state)) return false;
    }
    return true;
  }

  /** The longest read that has ended since then. Of those longer ago than RETAIN_MS nothing is known. */
  longestReadMs(sinceMs: number): number {
    while (this.#lengths[0] !== undefined && this.#lengths[0].endedMs < this.#now() - RETAIN_MS) this.#lengths.shift();
    return this.#lengths.reduce((longest, { endedMs, ms }) => (endedMs < sinceMs ? longest : Math.max(longest, ms)), 0);
  }

  /** How long it took until a live reader held what was acknowledged before. */
  liveCaughtUp(calm: boolean, ms: number): void {
    this.#count('liveChecks', 1);
    const worst = calm ? 'worstLiveCalmMs' : 'worstLiveMs';
    for (const tally of [this.total, this.#tally]) tally[worst] = Math.max(tally[worst], ms);
  }

  liveViolation(rule: 'order' | 'bound' | 'quiet', got: string): void {
    const nowMs = this.#now();
    const places = { what: 'live', startedMs: nowMs, endedMs: nowMs, inPartition: nowMs < this.#partitionUntilMs };
    this.#violate({ ...places, rule, row: '', got, expected: '', contradictedBy: '', staleMs: 0 });
  }

  /** So many live readers were compared with the database when nothing was written any more. */
  liveQuiet(readers: number): void {
    this.#count('liveChecks', readers);
  }

  beginRead(what: string): Operation {
    return this.#begin('read', what);
  }

  /** Rows of an answer, each a read of its own; a task selected twice counts twice. */
  endRead(operation: Operation, seen: readonly Seen[], list?: SeenList): void {
    const endedMs = this.#end(operation);
    this.#lengths.push({ endedMs, ms: endedMs - operation.startedMs });
    if (this.#isPast(operation)) return;
    for (const one of seen) this.#check(operation, endedMs, one);
    // Only now: the rows of one answer are read at the same time, not one after the other.
    for (const one of seen) this.#prove(operation, endedMs, one);
    this.#count('reads', seen.length);
    if (list !== undefined) this.#checkList(operation, endedMs, list);
  }

  /** A read that brought no answer says nothing. */
  dropRead(operation: Operation): void {
    this.#end(operation);
  }

  /** Each update of `rows` raises its version by one, if it happens. */
  beginWrite(rows: readonly string[], what: string): Operation {
    for (const row of rows) this.#row(row).begun++;
    return this.#begin('write', what);
  }

  acknowledged(operation: Operation, rows: readonly string[], seen: readonly Seen[]): void {
    const endedMs = this.#end(operation);
    if (this.#isPast(operation)) return;
    for (const row of rows) this.#row(row).over++;
    for (const one of seen) this.#prove(operation, endedMs, one);
  }

  /** Certainly not happened. */
  refused(operation: Operation, rows: readonly string[]): void {
    this.#end(operation);
    if (this.#isPast(operation)) return;
    for (const row of rows) {
      const { begun } = this.#row(row);
      Object.assign(this.#row(row), { begun: begun - 1 });
    }
  }

  /** May happen yet, or may have happened. */
  outcomeUnknown(operation: Operation, rows: readonly string[]): void {
    const sinceMs = this.#end(operation);
    for (const row of rows) this.#unknown.push({ row: this.#row(row), sinceMs });
  }

  /** A direct read of Postgres, of rows that are known before. */
  beginProbe(rows: readonly string[], what: string): { operation: Operation; over: ReadonlyMap<string, number> } {
    this.#expireUnknown();
    return {
      operation: this.#begin('probe', what),
      over: new Map(rows.map((row) => [row, this.#row(row).over])),
    };
  }

  endProbe({ operation, over }: ReturnType<History['beginProbe']>, seen: readonly Seen[]): void {
    const endedMs = this.#end(operation);
    if (this.#isPast(operation)) return;
    for (const one of seen) {
      const row = this.#row(one.row);
      this.#check(operation, endedMs, one);
      // What was over when the probe began, it has seen; only the others can still add to it.
      row.base = Math.min(row.base, one.version - (over.get(one.row) ?? 0));
    }
    for (const one of seen) this.#prove(operation, endedMs, one);
  }

  dropProbe({ operation }: ReturnType<History['beginProbe']>): void {
    this.#end(operation);
  }

  /** What the rows of a snapshot hold at the place that `order` gives to the transaction which made them so. */
  knowVector(order: string, vector: string): void {
    this.#vectors.set(order, vector);
    if (this.#vectors.size > MAX_KNOWN_VECTORS) this.#vectors.delete(this.#vectors.keys().next().value as string);
  }

  /**
   * A snapshot answer: its sum is constant, and its vector is the one of its place in the order, where that is known. Inside a
   * partition it is made of values of which each may be stale by PROMISE_MS, which `endRead` checks.
   */
  checkSnapshot(
    what: string,
    startedMs: number,
    snapshot: { order: string; vector: string; sum: number; expectedSum: number },
  ): void {
    if (startedMs < this.#beganMs) return;
    this.#count('snapshots', 1);
    const { order, vector, sum, expectedSum } = snapshot;
    const known = this.#vectors.get(order);
    if (sum === expectedSum && (known === undefined || known === vector)) return;
    if (startedMs < this.#partitionUntilMs) {
      this.#count('tolerated', 1);
      return;
    }
    this.#violate({
      rule: 'snapshot',
      row: '',
      what,
      startedMs,
      endedMs: this.#now(),
      got: `sum ${sum}, ${vector} at ${order}`,
      expected: `sum ${expectedSum}, ${known ?? 'any vector'}`,
      contradictedBy: '',
      staleMs: 0,
      inPartition: false,
    });
  }

  #begin(kind: OperationKind, what: string): Operation {
    const operation = { id: this.#nextId++, kind, startedMs: this.#now(), what };
    this.#open.set(operation.id, operation);
    return operation;
  }

  /** @returns the time of the end */
  #end(operation: Operation): number {
    if (!this.#open.delete(operation.id)) throw new Error(`the operation ${operation.what} has ended before`);
    return this.#now();
  }

  #isPast({ startedMs }: Operation): boolean {
    return startedMs < this.#beganMs;
  }

  #row(row: string): Row {
    const found = this.#rows.get(row);
    if (found === undefined) throw new Error(`no row ${row} was added`);
    return found;
  }

  #expireUnknown(): void {
    const overBeforeMs = this.#now() - UNKNOWN_OVER_MS;
    while (this.#unknown[0] !== undefined && this.#unknown[0].sinceMs < overBeforeMs) {
      (this.#unknown.shift() as { row: Row }).row.over++;
    }
  }

  #prove(operation: Operation, endedMs: number, { row, version, state }: Seen): void {
    // The first in the map is the oldest.
    const oldestMs = this.#open.values().next().value?.startedMs ?? endedMs;
    const found = this.#row(row);
    found.prove(
      { version, endedMs, by: `${operation.kind} ${operation.what}` },
      Math.min(oldestMs, endedMs - RETAIN_MS),
    );
    found.know(version, state);
  }

  #check(operation: Operation, endedMs: number, seen: Seen): void {
    const row = this.#row(seen.row);
    const floor = row.floorAt(operation.startedMs);
    if (floor !== undefined && seen.version < floor.version) {
      this.#stale(operation, endedMs, {
        rule: 'stale',
        row: seen.row,
        lastFit: seen.version,
        got: `version ${seen.version}`,
      });
    }
    if (seen.version > row.base + row.begun) {
      this.#violate({
        ...this.#places(operation, endedMs),
        rule: 'future',
        row: seen.row,
        got: `version ${seen.version}`,
        expected: `at most ${row.base + row.begun}`,
        contradictedBy: '',
        staleMs: 0,
      });
    }
    const known = row.states.get(seen.version);
    if (known !== undefined && seen.state !== undefined && known !== seen.state) {
      this.#violate({
        ...this.#places(operation, endedMs),
        rule: 'state',
        row: seen.row,
        got: `${seen.state} in version ${seen.version}`,
        expected: known,
        contradictedBy: '',
        staleMs: 0,
      });
    }
  }

  /** A row is in a list, or not, as some version says that the row can have had while the list was read. */
  #checkList(operation: Operation, endedMs: number, { rows, present, states }: SeenList): void {
    this.#count('lists', 1);
    for (const id of rows) {
      const row = this.#row(id);
      const floor = row.floorAt(operation.startedMs)?.version ?? 0;
      const ceiling = row.base + row.begun;
      const fits = (version: number) => {
        const state = row.states.get(version);
        return state === undefined || states.has(state) === present.has(id);
      };
      let version = floor;
      while (version <= ceiling && !fits(version)) version++;
      if (version <= ceiling) continue;
      let lastFit = floor - 1;
      while (lastFit > 0 && !fits(lastFit)) lastFit--;
      const got = present.has(id) ? 'in the list' : 'not in the list';
      this.#stale(operation, endedMs, { rule: 'list', row: id, lastFit, got });
    }
  }

  /** `lastFit`: the last version with which the answer would have been right. */
  #stale(
    operation: Operation,
    endedMs: number,
    { rule, row: id, lastFit, got }: { rule: 'stale' | 'list'; row: string; lastFit: number; got: string },
  ): void {
    const row = this.#row(id);
    const first = row.proofs[row.proofIndex(({ version }) => version > lastFit)] as Proof;
    const staleMs = operation.startedMs - first.endedMs;
    const places = this.#places(operation, endedMs);
    const worst = row.kind === 'bare' ? 'worstBareMs' : places.inPartition ? 'worstInsideMs' : 'worstOutsideMs';
    for (const tally of [this.total, this.#tally]) tally[worst] = Math.max(tally[worst], staleMs);
    const promisedMs = row.kind === 'bare' || places.inPartition ? PROMISE_MS + SLACK_MS : 0;
    if (staleMs <= promisedMs) {
      this.#count('tolerated', 1);
      return;
    }
    this.#violate({
      ...places,
      rule,
      row: id,
      got,
      expected: `version ${row.floorAt(operation.startedMs)?.version} or later`,
      contradictedBy: `${first.by}, version ${first.version}, ended ${first.endedMs.toFixed(1)}`,
      staleMs,
    });
  }

  #places(operation: Operation, endedMs: number) {
    return {
      what: `${operation.kind} ${operation.what}`,
      startedMs: operation.startedMs,
      endedMs,
      inPartition: operation.startedMs < this.#partitionUntilMs,
    };
  }

  #violate(violation: Omit<Violation, 'label'>): void {
    this.#count('violations', 1);
    if (this.violations.length < MAX_DETAILS) this.violations.push({ ...violation, label: this.#label });
  }

  #count(
    what: 'reads' | 'lists' | 'snapshots' | 'violations' | 'tolerated' | 'liveAnswers' | 'liveChecks',
    times: number,
  ): void {
    this.total[what] += times;
    this.#tally[what] += times;
  }
}
