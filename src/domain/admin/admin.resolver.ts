/** Operator API, for tokens with the scope `cache:admin`: invalidation by tag and cache statistics. */
import { GraphQLError } from 'graphql';
import { GraphQLDate } from 'graphql-scalars';
import { Arg, Ctx, Mutation, Query, Resolver } from 'type-graphql';
import {
  dayOf,
  type OutcomeKind,
  type StatisticsLine,
  type Store,
  statisticsOf,
  type Tag,
} from '../../engine/cache/index.js';
import type { PolicyLine } from '../../engine/graphql/index.js';
import { type Context, recordInvalidations } from '../../graphql/context.js';
import { badUserInput, forbidden } from '../../graphql/errors.js';
import { allRowSets } from '../registry.js';
import { CacheStatistics, InvalidateCacheInput, InvalidateCachePayload } from './admin.type.js';
import { readTag } from './tag-text.js';

/** The word in a token's `scope` claim that grants access. */
const ADMIN_SCOPE = 'cache:admin';
const MAX_TAGS = 100;

export interface AdminOptions {
  readonly store: Store;
  /** Called when statistics are requested; the policies exist once the schema is built. */
  readonly policies: () => readonly PolicyLine[];
}

@Resolver()
export class AdminResolver {
  constructor(private readonly options: AdminOptions) {}

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
  })
  async cacheStatistics(
    @Ctx() context: Context,
    @Arg('day', () => GraphQLDate, { nullable: true, description: 'The day in UTC. Defaults to today.' })
    day?: Date | null,
  ): Promise<CacheStatistics[]> {
    requireAdmin(context);
    const { store, policies } = this.options;
    const fields = new Map(policies().map((policy) => [policy.name, policy.fields]));
    const lines = await orUnavailable(statisticsOf(store, dayOf((day ?? new Date()).getTime())));
    return lines.map((line) => statisticsLine(line, fields.get(line.name) ?? []));
  }
}

/** @throws FORBIDDEN */
function requireAdmin(context: Context): void {
  const { scopes } = context.markUncacheable();
  if (!scopes.includes(ADMIN_SCOPE)) throw forbidden(`This requires a token with the scope ${ADMIN_SCOPE}.`);
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
  const count = (kind: OutcomeKind) => counts[kind] ?? 0;
  const served = count('near-hit') + count('hit') + count('stale') + count('joined');
  const all = served + count('miss') + count('bypass') + count('error');
  return {
    name,
    coordinates,
    nearHits: count('near-hit'),
    hits: count('hit'),
    stale: count('stale'),
    joined: count('joined'),
    misses: count('miss'),
    bypasses: count('bypass'),
    errors: count('error'),
    hitRate: all === 0 ? null : served / all,
  };
}
