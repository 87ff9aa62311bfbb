/**
 * The cursor of `taskChangesSince`: what its holder has seen, as Postgres snapshots. Transactions that are not visible
 * in `since` have not been seen, whenever they began, so a late commit is not missed. While several pages are read,
 * `until` is the snapshot they are read up to and `after` the position within it.
 */
import { Buffer } from 'node:buffer';
import { digest } from '../../engine/cache/index.js';
import { badUserInput } from '../../graphql/errors.js';

/** Increase when the meaning of a cursor's parts changes. */
const VERSION = 1;
/** Room for the ids of thousands of running transactions, more than Postgres has connections. */
const MAX_CHARS = 64 * 1024;
/** Upper limit that `pg_snapshot` accepts. */
const MAX_XID = 2n ** 63n - 1n;

/** `xmin:xmax:xip,xip,…`, as `pg_current_snapshot()` writes it. */
export type Snapshot = string & { readonly brand: 'snapshot' };

export interface ChangeCursor {
  readonly since: Snapshot;
  /** Set while several pages are being read. */
  readonly rest?: { readonly until: Snapshot; readonly after: number };
}

/** @param scope names what the cursor covers; `readCursor` refuses it with another scope */
export function writeCursor({ since, rest }: ChangeCursor, scope: string): string {
  const parts = [VERSION, markOf(scope), since, ...(rest === undefined ? [] : [rest.until, rest.after])];
  return Buffer.from(JSON.stringify(parts)).toString('base64url');
}

/** @throws BAD_USER_INPUT */
export function readCursor(text: string, scope: string): ChangeCursor {
  const [version, mark, since, until, after, ...more] = partsOf(text);
  const rest = isSnapshot(until) && isPlace(after) ? { until, after } : undefined;
  const isWhole = (until === undefined || rest !== undefined) && more.length === 0;
  if (version !== VERSION || !isSnapshot(since) || !isWhole) {
    throw badUserInput('cursor', 'expected a cursor that taskChangesSince has returned');
  }
  if (mark !== markOf(scope)) throw badUserInput('cursor', 'this cursor belongs to another projectId');
  return { since, ...(rest && { rest }) };
}

function partsOf(text: string): unknown[] {
  if (text.length > MAX_CHARS) return [];
  try {
    const parts: unknown = JSON.parse(Buffer.from(text, 'base64url').toString());
    return Array.isArray(parts) ? parts : [];
  } catch {
    return [];
  }
}

function markOf(scope: string): string {
  return digest(`task changes of ${scope}`).slice(0, 8);
}

function isPlace(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/**
 * Whether Postgres accepts it: `xmin` is at most `xmax`, and the running transactions between them are unique and
 * sorted.
 */
export function isSnapshot(value: unknown): value is Snapshot {
  if (typeof value !== 'string' || !/^\d{1,19}:\d{1,19}:(\d{1,19}(,\d{1,19})*)?$/.test(value)) return false;
  const { xmin, xmax, running } = boundsOf(value as Snapshot);
  if (xmin === 0n || xmin > xmax || xmax > MAX_XID) return false;
  return running.every((xid, i) => xid >= (i === 0 ? xmin : (running[i - 1] as bigint) + 1n) && xid < xmax);
}

export function boundsOf(snapshot: Snapshot): { xmin: bigint; xmax: bigint; running: bigint[] } {
  const [xmin = '', xmax = '', list = ''] = snapshot.split(':');
  const running = list === '' ? [] : list.split(',').map(BigInt);
  return { xmin: BigInt(xmin), xmax: BigInt(xmax), running };
}

/**
 * The lowest transaction that the snapshot does not show. `xmin` cannot be used: a forged cursor may set it to anything
 * lower.
 */
export function firstUnseen(snapshot: Snapshot): bigint {
  const { xmax, running } = boundsOf(snapshot);
  return running[0] ?? xmax;
}

/**
 * Whether changes that the cursor has not seen may be gone.
 * @param now the snapshot the changes are read with
 * @param trimmedBelow events of this and later transactions are all kept
 */
export function isExpired({ since, rest }: ChangeCursor, now: Snapshot, trimmedBelow: bigint): boolean {
  const [seen, current] = [boundsOf(since), boundsOf(now)];
  // A restored Postgres reuses transaction ids of its former history.
  if (seen.xmax > current.xmax || (rest !== undefined && boundsOf(rest.until).xmax > current.xmax)) return true;
  if (trimmedBelow > seen.xmax) return true;
  // It was running at the time, has ended since, and is so old that its events may have been trimmed.
  const running = new Set(current.running);
  return seen.running.some((xid) => xid < trimmedBelow && !running.has(xid));
}
