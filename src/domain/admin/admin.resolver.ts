/** Operator API, for tokens with the scope `cache:admin`: invalidation by tag, statistics, policies and tags. */
import { GraphQLError } from 'graphql';
import { GraphQLDate } from 'graphql-scalars';
import { Arg, Ctx, Mutation, Query, Resolver } from 'type-graphql';
import {
  type Cache,
  dayOf,
  fenceIds,
  type HeldUnder,
  isFence,
  type StatisticsLine,
  type Store,
  statisticsOf,
  type Tag,
} from '../../engine/cache/index.js';
import type { PolicyLine } from '../../engine/graphql/index.js';
import { type Database, lastInvalidations } from '../../engine/postgres/index.js';
import { type Context, recordInvalidations } from '../../graphql/context.js';
import { badUserInput } from '../../graphql/errors.js';
import { COSTS } from '../../graphql/limits.js';
import type { Activity } from '../../platform/activity/index.js';
import { allRowSets } from '../registry.js';
import { missOf } from './activity.resolver.js';
import { CacheStatistics, InvalidateCacheInput, InvalidateCachePayload } from './admin.type.js';
import { CachePolicy, type CacheTag, CacheTagLookup, CacheTagLookupKind, CacheTagState } from './inspection.type.js';
import { LookupQueue } from './lookup-queue.js';
import { outcomeCounts } from './outcome-counts.js';
import { requireAdmin } from './require-admin.js';
import { TagLookup } from './tag-lookup.js';
import { readTag } from './tag-text.js';

const MAX_TAGS = 100;
const MAX_ENTRIES_SHOWN = 50;

export interface AdminOptions {
  readonly store: Store;
  readonly cache: Cache;
  readonly activity: Activity;
  readonly db: Pick<Database, 'read'>;
  /** Called when statistics are requested; the policies exist once the schema is built. */
  readonly policies: () => readonly PolicyLine[];
}

@Resolver()
export class AdminResolver {
  readonly #tags: TagLookup;
  readonly #lookups = new LookupQueue();

  constructor(private readonly options: AdminOptions) {
    this.#tags = new TagLookup(options.db, allRowSets);
  }

  @Mutation(() => InvalidateCachePayload, {
    description:
      'Invalidates these cache tags on every process. Writes invalidate automatically; use this only to recover ' +
      'from a fault. Requires a token with the scope cache:admin.',
  })
  async invalidateCache(
    @Ctx() context: Context,
    @Arg('input', () => InvalidateCacheInput, { description: 'The cache tags to invalidate.' }) {
      tags: texts,
    }: InvalidateCacheInput,
  ) {
    requireAdmin(context);
    if (texts.length > MAX_TAGS)
      throw badUserInput('input.tags', `expected at most ${MAX_TAGS} tags, got ${texts.length}`);
    const tags = [...new Set(texts.map((text, i) => tagOf(text, `input.tags[${i}]`)))];
    await orUnavailable(this.options.store.invalidate(tags));
    return recordInvalidations(context, { value: { invalidated: tags }, tags });
  }

  @Query(() => [CacheStatistics], {
    description:
      'Outcomes of cached calls on one day, for each cached source or field. Kept for about a week; the numbers ' +
      'lag by a few seconds. Requires a token with the scope cache:admin.',
    complexity: COSTS.lookup,
  })
  async cacheStatistics(
    @Ctx() context: Context,
    @Arg('day', () => GraphQLDate, { nullable: true, description: 'The day in UTC. Defaults to today.' })
    day?: Date | null,
  ): Promise<CacheStatistics[]> {
    requireAdmin(context);
    const { policies } = this.options;
    const fields = new Map(policies().map((policy) => [policy.name, policy.fields]));
    const lines = await this.#lookups.run(context, () => this.#statistics(day ?? new Date()));
    return lines.map((line) => statisticsLine(line, fields.get(line.name) ?? []));
  }

  @Query(() => [CachePolicy], {
    description:
      'All cached sources and fields: what each declares, its calls today, and what this process holds of it. ' +
      'Requires a token with the scope cache:admin.',
    complexity: COSTS.lookup,
  })
  async cachePolicies(@Ctx() context: Context): Promise<CachePolicy[]> {
    requireAdmin(context);
    return this.#lookups.run(context, () => this.#describePolicies());
  }

  async #describePolicies(): Promise<CachePolicy[]> {
    const { cache, activity, policies } = this.options;
    const lines = await this.#statistics(new Date());
    const held = cache.memory.byPolicy();
    return policies().map(({ name, fields: coordinates, ttlMs, staleMs, scope, shape }) => {
      const today = lines.find((line) => line.name === name);
      return {
        ...{ name, coordinates, ttlMs, staleMs, scope, shape },
        today: today === undefined ? null : statisticsLine(today, coordinates),
        memoryEntries: held.get(name)?.entries ?? 0,
        memoryBytes: held.get(name)?.bytes ?? 0,
        lastMisses: activity.lastMisses(name).map((miss) => missOf({ ...miss, process: activity.processId })),
      };
    });
  }

  @Query(() => CacheTagLookup, {
    description:
      'What the cache knows of a row or tag: tokens and fences in Redis, the last invalidation, entries in the memory ' +
      'of this process. Keys and tags show ids and search texts of all users. Requires a token with the scope ' +
      'cache:admin.',
    complexity: COSTS.lookup,
  })
  async cacheTag(
    @Ctx() context: Context,
    @Arg('text', () => String, {
      description:
        'A task such as OPS-42, an id of the API, a UUID, or a tag: a table (tasks) or some of its rows ' +
        '(tasks:id=task_…).',
    })
    text: string,
  ): Promise<CacheTagLookup> {
    requireAdmin(context);
    return this.#lookups.run(context, () => this.#lookUp(text));
  }

  async #lookUp(text: string): Promise<CacheTagLookup> {
    const named = await this.#tags.find(text);
    if ('expected' in named) throw badUserInput('text', `expected ${named.expected}`);
    const isRow = named.kind === 'row';
    return {
      text,
      kind: isRow ? CacheTagLookupKind.ROW : CacheTagLookupKind.TAG,
      table: named.table,
      found: isRow ? named.found : true,
      id: isRow ? named.id : null,
      tags: await this.#describe(named.tags),
    };
  }

  #statistics(day: Date): Promise<StatisticsLine[]> {
    return orUnavailable(statisticsOf(this.options.store, dayOf(day.getTime())));
  }

  async #describe(tags: readonly Tag[]): Promise<CacheTag[]> {
    const { store, cache, db } = this.options;
    const [held, last] = await Promise.all([
      orUnavailable(store.inspection.heldTags(tags)),
      lastInvalidations(db.read, tags),
    ]);
    const inMemory = cache.memory.under(tags, MAX_ENTRIES_SHOWN);
    return tags.map((tag): CacheTag => {
      const { text = null, ttlMs = null } = held.get(tag) ?? {};
      const invalidation = last.get(tag);
      const { copies, byPolicy } = inMemory.get(tag) as HeldUnder; // one for each tag
      const policies = [...byPolicy].map(([name, sum]) => ({ name, ...sum }));
      const entries = policies.reduce((sum, one) => sum + one.entries, 0);
      const fenced = text !== null && isFence(text);
      return {
        tag,
        state: fenced ? CacheTagState.FENCED : text === null ? CacheTagState.NONE : CacheTagState.TOKEN,
        text,
        fencedBy: fenced ? fenceIds(text) : [],
        ttlMs,
        lastInvalidation: invalidation === undefined ? null : { transaction: invalidation.xid, at: invalidation.at },
        entries: copies,
        entriesOmitted: entries - copies.length,
        policies,
      };
    });
  }
}

/** @throws BAD_USER_INPUT */
function tagOf(text: string, argument: string): Tag {
  const read = readTag(text, allRowSets);
  if ('expected' in read) throw badUserInput(argument, `expected ${read.expected}`);
  return read.tag;
}

async function orUnavailable<T>(asking: Promise<T>): Promise<T> {
  try {
    return await asking;
  } catch {
    throw new GraphQLError('The cache store does not respond. The operation may not have taken effect.', {
      extensions: { code: 'CACHE_UNAVAILABLE' },
    });
  }
}

function statisticsLine({ name, counts }: StatisticsLine, coordinates: readonly string[]): CacheStatistics {
  const calls = outcomeCounts(counts);
  const served = calls.nearHits + calls.hits + calls.stale + calls.joined;
  const all = served + calls.misses + calls.bypasses + calls.errors;
  return { name, coordinates, ...calls, hitRate: all === 0 ? null : served / all };
}
