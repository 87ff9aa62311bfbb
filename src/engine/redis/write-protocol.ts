/** The write protocol in Redis: see `WriteProtocol` in store.ts, and the Lua files for what each step does. */
import type { Cluster, Redis } from 'ioredis';
import { generationsText } from '../cache/entry.js';
import {
  type ApplyReply,
  type ExactFence,
  type FenceOptions,
  type FenceReply,
  type Head,
  LEASE_MS,
  LOG_GROUP,
  type LogMark,
  MAX_LOG_RECORDS,
  MAX_ORPHANS_PER_TICK,
  MAX_RELEASED_KNOWN,
  type OrphanFence,
  type ReleasedBy,
  type ReleaseFills,
  type ReleaseOptions,
  type Tick,
  TOKEN_TTL_MS,
  type WriteProtocol,
} from '../cache/store.js';
import type { Tag } from '../cache/tag.js';
import type { Clock } from '../cache/time.js';
import { randomEpoch, randomToken } from '../cache/token.js';
import type { Connection } from './connection.js';
import { type Group, type Groups, logGroupLast } from './groups.js';
import { entryKey, protocolKey, runKey, tagKey, tagKeys } from './key-layout.js';
import { refusalText } from './outage.js';
import { applyScript, fenceScript, headScript, releaseScript, runScript } from './scripts.js';
import {
  type HeadReply,
  logRecord,
  markOf,
  message,
  positionText,
  readLease,
  readNote,
  readPosition,
} from './wire-format.js';

/** See fence.lua. */
function exactFence(reply: unknown): ExactFence | undefined {
  if (!Array.isArray(reply)) return undefined;
  const [, record, lease] = reply as ['exact', record: string | null, lease: string | null];
  return record === null ? undefined : { kind: 'exact', mark: markOf(record), lease: readLease(lease) };
}

const NO_FILLS: ReleaseFills = { token: '', entries: [] };
const NOTHING_EXPECTED: ReadonlyMap<Tag, string> = new Map();

/** The expected tokens as FENCE reads them: by the number of the tag's key, after `before` others. */
function expectedText(tags: readonly Tag[], expected: ReadonlyMap<Tag, string>, before: number): string {
  return [...expected].map(([tag, token]) => `${before + 1 + tags.indexOf(tag)}=${token}`).join(',');
}

/** Whether RELEASE appends to the log; `if lost`: where it does not find its own fence and note. */
type Logs = 'always' | 'if lost' | 'never';

export class RedisWriteProtocol implements WriteProtocol {
  readonly #groups: Groups;
  readonly #clock: Clock;
  /** Where released tags are published, as `{"xid": "…", "tags": […]}`. */
  readonly #channel: string;
  #logEpoch = '';

  constructor(options: { readonly groups: Groups; readonly clock: Clock; readonly channel: string }) {
    this.#groups = options.groups;
    this.#clock = options.clock;
    this.#channel = options.channel;
  }

  /** The epoch of the log as it was read last. */
  noteLog(mark: LogMark | undefined): void {
    this.#logEpoch = mark?.epoch ?? '';
  }

  /** The log group last: its record says that every fence is set. */
  async fence(xid: bigint, tags: readonly Tag[], options: FenceOptions): Promise<FenceReply> {
    const { fresh, database = '', expected = NOTHING_EXPECTED } = options;
    const record = logRecord(tags);
    let exact: ExactFence | undefined;
    const parts = this.#groups.split({ keys: [], tags }, [LOG_GROUP]);
    let foreign = false;
    const fenceAll = (connection: Connection) =>
      logGroupLast(parts, async ({ group, tags }) => {
        const reply = await this.#groups.attempt(group, connection, 'FENCE', (client, { run }) => {
          const names = (['log', 'fen', 'pos'] as const).map((name) => protocolKey(name, group));
          names.push(runKey('ok', group, run));
          const keys = [...names, ...tagKeys(group, tags)];
          const logged = group.index === LOG_GROUP ? record : '';
          const args = [String(xid), logged, MAX_LOG_RECORDS, randomEpoch(), JSON.stringify(tags), database];
          args.push(expectedText(tags, expected, names.length), this.#logEpoch);
          return runScript(client, fenceScript, keys, args);
        });
        exact = exactFence(reply);
        if (reply === 'foreign') foreign = true;
        else group.outage.fenced();
      });
    await (fresh ? this.#groups.onNewConnection(parts, fenceAll) : fenceAll(this.#groups.writer));
    if (foreign) return 'foreign';
    return exact !== undefined && this.#groups.all.length === 1 ? exact : 'fenced';
  }

  release(xid: bigint, tags: readonly Tag[], options?: ReleaseOptions): Promise<void> {
    const { unfenced = false, database, fills } = options ?? {};
    const logs = unfenced ? 'always' : 'if lost';
    return this.#release({ xids: String(xid), tags, mode: 'record', logs, by: 'writer', database, fills });
  }

  releaseFinished(
    xids: readonly string[],
    tags: readonly Tag[],
    options?: { database?: string | undefined },
  ): Promise<void> {
    const database = options?.database;
    return this.#release({ xids: xids.join(','), tags, mode: 'resolve', logs: 'never', by: 'recovery', database });
  }

  async releaseOrphans(
    orphans: readonly OrphanFence[],
    index = LOG_GROUP,
    { database }: { database?: string | undefined } = {},
  ): Promise<void> {
    const group = this.#groups.at(index);
    // One call each: a fence has thousands of tags at most, and Redis does nothing else meanwhile.
    for (const { xid, tags } of orphans) {
      const what = {
        xids: xid,
        own: tags,
        mode: 'over',
        message: message(xid, tags, 'recovery'),
        record: '',
        logs: 'never',
        database,
      } as const;
      await this.#groups.attempt(group, this.#groups.ticker, 'RELEASE', (client) =>
        this.#releaseIn(client, group, what),
      );
    }
  }

  head(index = LOG_GROUP): Promise<Head> {
    const group = this.#groups.at(index);
    const startedMs = this.#clock.monotonicMs();
    return this.#groups.attempt(group, this.#groups.ticker, 'HEAD', async (client, server) => {
      const keys = (['pos', 'rel', 'ok', 'fen'] as const).map((name) => protocolKey(name, group));
      const reply = (await runScript(client, headScript, keys, [
        server.run,
        MAX_RELEASED_KNOWN,
        MAX_ORPHANS_PER_TICK,
      ])) as HeadReply;
      const [seconds, micros, position, pttl, run, released, checked, lease, orphans, refusal, history, wanted] = reply;
      this.#groups.oneServer(group, run);
      if (refusal !== '') this.#groups.refusedInHead(group, startedMs, refusal);
      else if (pttl > 0) group.outage.leased(pttl);
      else group.outage.wrote();
      if (checked !== 'checked')
        this.#groups.limited('scripts may not read INFO: a tick is given up when its connection changes');
      if (lease !== 'local')
        this.#groups.limited('scripts may not choose what is replicated: a failover is bounded by the lease');
      return {
        clockMs: Number(seconds) * 1000 + Math.floor(Number(micros) / 1000),
        position: readPosition(position),
        leaseLeftMs: Math.max(0, pttl),
        run,
        ...(checked !== 'checked' && { link: server.link }),
        released,
        orphans: orphans.map(readNote),
        ...(refusal !== '' && { refusal: refusalText(refusal) }),
        ...(checked === 'checked' && history !== '' && { history: `${run}/${history}` }),
        ...(wanted === 1 && { samplesWanted: true as const }),
      };
    });
  }

  apply({ head, next, rows, barrier, grant, others }: Tick, index = LOG_GROUP): Promise<ApplyReply> {
    const group = this.#groups.at(index);
    return this.#groups.attempt(group, this.#groups.ticker, 'APPLY', async (client, server) => {
      if (head.link !== undefined && head.link !== server.link) return { result: 'moved', unreleased: [] };
      const keys = [
        protocolKey('pos', group),
        protocolKey('rel', group),
        runKey('ok', group, head.run),
        runKey('bar', group, head.run),
        protocolKey('log', group),
      ];
      const packed = this.#packRows(rows, group, keys, others);
      const reply = (await runScript(client, applyScript, keys, [
        head.link === undefined ? head.run : '',
        head.position === undefined ? '' : positionText(head.position),
        positionText(next),
        barrier === undefined ? '' : String(barrier),
        head.clockMs,
        LEASE_MS,
        grant,
        randomToken(),
        index === LOG_GROUP ? this.#channel : '',
        JSON.stringify(packed),
        index === LOG_GROUP ? MAX_LOG_RECORDS : '',
        randomEpoch(),
        index === LOG_GROUP ? generationsText(others?.generations ?? []) : '',
      ])) as [ApplyReply['result'], generation?: string, unreleased?: string[]];
      const [result, generation, unreleased = []] = reply;
      if (result === 'applied') group.outage.wrote();
      return { result, unreleased, ...(generation && { generation }) };
    });
  }

  /** The rows as APPLY reads them. Appends the keys of their tags to `keys`, which the rows refer to by number. */
  #packRows(rows: Tick['rows'], group: Group, keys: string[], others: Tick['others']) {
    const indexOf = new Map<Tag, number>();
    return rows.map(({ xid, tags }) => {
      const own = tags.filter((tag) => this.#groups.indexOf(tag) === group.index);
      for (const tag of own) {
        if (!indexOf.has(tag)) indexOf.set(tag, keys.push(tagKey(group, tag)));
      }
      const [published, record] =
        group.index === LOG_GROUP ? [message(String(xid), tags, 'relay'), logRecord(tags)] : ['', ''];
      const again = others?.unreleased.has(String(xid)) === true ? 1 : 0;
      return [String(xid), published, record, own.map((tag) => indexOf.get(tag)), again];
    });
  }

  /**
   * The log group has all ids, publishes, and logs what no fence did, or what a fence did that some group has lost
   * since. It comes last: a reader of the record must not find the old tokens, or it would keep in memory what it still
   * reads under the old ones.
   */
  async #release(what: {
    readonly xids: string;
    readonly tags: readonly Tag[];
    readonly mode: 'record' | 'resolve';
    readonly logs: Logs;
    readonly by: ReleasedBy;
    readonly database: string | undefined;
    readonly fills?: ReleaseFills | undefined;
  }): Promise<void> {
    const { xids, tags, logs, by, ...same } = what;
    let lost = false;
    await logGroupLast(this.#groups.split({ keys: [], tags }, [LOG_GROUP]), async ({ group, tags: own }) => {
      const texts =
        group.index === LOG_GROUP
          ? {
              message: message(xids, tags, by),
              record: logRecord(tags),
              logs: logs === 'if lost' && lost ? 'always' : logs,
            }
          : { message: '', record: '', logs };
      const reply = await this.#groups.attempt(group, this.#groups.writer, 'RELEASE', (client) =>
        this.#releaseIn(client, group, { ...same, xids, own, ...texts }),
      );
      if (reply === 'lost') lost = true;
    });
  }

  async #releaseIn(
    client: Redis | Cluster,
    group: Group,
    what: {
      readonly xids: string;
      readonly own: readonly Tag[];
      readonly mode: 'record' | 'resolve' | 'over';
      readonly message: string;
      readonly record: string;
      readonly logs: Logs;
      readonly database: string | undefined;
      readonly fills?: ReleaseFills | undefined;
    },
  ): Promise<'released' | 'lost' | 'foreign'> {
    const { own, fills = NO_FILLS } = what;
    const { token, entries } = fills;
    const names = (['rel', 'log', 'fen', 'pos'] as const).map((name) => protocolKey(name, group));
    const channel = what.message === '' ? '' : this.#channel;
    const ends = [channel, what.message, what.record, MAX_LOG_RECORDS, randomEpoch(), what.logs];
    const args = [what.xids, token, TOKEN_TTL_MS, what.mode, ...ends, what.database ?? ''];
    const keys = [...names, ...tagKeys(group, own), ...entries.map(({ key }) => entryKey(group, key))];
    const stored = entries.map(({ ttlMs, tags }) => [ttlMs, tags.map((tag) => names.length + 1 + own.indexOf(tag))]);
    args.push(stored.length === 0 ? '' : JSON.stringify(stored), ...entries.map(({ text }) => text));
    return (await runScript(client, releaseScript, keys, args)) as 'released' | 'lost' | 'foreign';
  }

  outageMs(tags?: readonly Tag[]): number {
    return this.#groups.outageMs(tags);
  }

  /** RELEASE of what no transaction wrote. */
  invalidate(tags: readonly Tag[]): Promise<void> {
    return this.#release({ xids: '', tags, mode: 'resolve', logs: 'always', by: 'hand', database: undefined });
  }
}
