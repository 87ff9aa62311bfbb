/**
 * The cursor of `taskChangesSince`: what its holder has been told, as Postgres's own snapshots. A transaction that `since` does not show has not
 * been told, whenever it began: so one that commits late is not missed. Within a page of many, `until` is the snapshot that the pages are
 * read up to, and `after` the place in it.
 */
import { Buffer } from 'node:buffer';
import { digest } from '../../engine/cache/index.js';
import { badUserInput } from '../../graphql/errors.js';

/** Raise it when the parts of a cursor change their meaning. */
const VERSION = 1;
/** Room for the ids of thousands of transactions under way: more than a Postgres has connections. */
const MAX_CHARS = 64 * 1024;
/** Of what `pg_snapshot` takes. */
const MAX_XID = 2n ** 63n - 1n;

/** `xmin:xmax:xip,xip,…`, as `pg_current_snapshot()` writes it. */
export type Snapshot = string & { readonly brand: 'snapshot' };

export interface ChangeCursor {
  readonly since: Snapshot;
  /** In the middle of several pages. */
  readonly rest?: { readonly until: Snapshot; readonly after: number };
}

/** @param scope names what the changes are of: a cursor of another scope is refused */
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

/** Whether Postgres takes it: `xmin` at most `xmax`, and between them the transactions under way, each once, in order. */
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

/** The lowest transaction that the snapshot does not show. Not its `xmin`, which a forged cursor may set to anything lower. */
export function firstUnseen(snapshot: Snapshot): bigint {
  const { xmax, running } = boundsOf(snapshot);
  return running[0] ?? xmax;
}

/**
 * Whether changes that the cursor has not seen may be gone. `now`: the snapshot that the changes are read with; `trimmedBelow`: events of
 * transactions from there on are all kept.
 */
export function isExpired({ since, rest }: ChangeCursor, now: Snapshot, trimmedBelow: bigint): boolean {
  const [seen, current] = [boundsOf(since), boundsOf(now)];
  // A Postgres that was put back gives ids again that an older history has used.
  if (seen.xmax > current.xmax || (rest !== undefined && boundsOf(rest.until).xmax > current.xmax)) return true;
  if (trimmedBelow > seen.xmax) return true;
  // One that was under way then has ended since, and is so old that its events may have been trimmed.
  const running = new Set(current.running);
  return seen.running.some((xid) => xid < trimmedBelow && !running.has(xid));
}
