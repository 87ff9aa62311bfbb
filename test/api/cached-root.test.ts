/** A cached method may use only what its key names of its root: the rest was read earlier, under older tokens. */
import 'reflect-metadata';
import { graphql } from 'graphql';
import { Ctx, Field, FieldResolver, ID, ObjectType, Query, Resolver, Root } from 'type-graphql';
import { describe, expect, test } from 'vitest';
import { Cache, MemoryStore, tableTag } from '../../src/engine/cache/index.js';
import { Tracer } from '../../src/engine/graphql/cache-trace.js';
import { Cached } from '../../src/engine/graphql/cached.js';
import type { Database } from '../../src/engine/postgres/executor.js';
import type { Context } from '../../src/graphql/context.js';
import { Loads } from '../../src/graphql/context.js';
import { buildApiSchema } from '../../src/graphql/schema.js';
import { MINUTE } from '../../src/std/time.js';
import { tagOf, tick } from '../cache/world.js';

interface Row {
  readonly id: string;
  readonly title: string;
  readonly day: string;
}

@ObjectType({ description: 'A row.' })
class Thing {
  @Field(() => ID, { description: 'Its id.' })
  id!: string;
}

const POLICY = { ttlMs: MINUTE, scope: 'public', tags: (thing: Row) => [tagOf(thing.id), tableTag('tasks')] } as const;
/** As many ways to read a field as there are. */
const READERS: Record<string, (root: Row) => unknown> = {
  get: (root) => root.title,
  destructuring: ({ title }) => title,
  spread: (root) => ({ ...root }).title,
  in: (root) => 'title' in root,
  json: (root) => JSON.stringify(root),
  keys: (root) => Object.keys(root).length,
};

@Resolver(() => Thing)
class ThingResolver {
  @Query(() => Thing, { description: 'A row.' })
  thing(): Row {
    return Object.freeze({ id: '7', title: 'old', day: 'monday' });
  }

  @FieldResolver(() => String, { description: 'Of the key alone.' })
  @Cached<Row>(POLICY)
  async fromKey(@Root() root: Row) {
    return `${await Promise.resolve(root).then(({ id }) => id)} ${typeof root}`;
  }

  @FieldResolver(() => String, { description: 'Of a field that the key names.' })
  @Cached<Row>({ ...POLICY, key: ({ id, day }) => [id, day] })
  fromNamed(@Root() root: Row) {
    return `${root.id} ${root.day}`;
  }

  @FieldResolver(() => String, { description: 'Of the root.' })
  @Cached<Row>(POLICY)
  fromRoot(@Root() root: Row, @Ctx() { requestId }: Context) {
    return String(READERS[requestId]?.(root));
  }

  @FieldResolver(() => String, { description: 'Under tags of the root.' })
  @Cached<Row>({ ...POLICY, tags: ({ title }) => [tagOf(title)] })
  underRootsTags() {
    return 'never';
  }
}

async function answer(field: string, { guardRoots, requestId = '' }: { guardRoots: boolean; requestId?: string }) {
  const { schema } = buildApiSchema([new ThingResolver()], [], [], { guardRoots });
  const store = new MemoryStore();
  await tick(store);
  const loads = new Loads({ cache: new Cache({ store }), db: {} as Database, viewer: '', tracer: new Tracer(false) });
  const { data, errors } = await graphql({
    schema,
    source: `{ thing { ${field} } }`,
    contextValue: { loaders: loads, requestId },
  });
  const thing = data?.['thing'] as Record<string, unknown> | undefined;
  return errors === undefined ? thing?.[field] : errors[0]?.originalError;
}

describe('in development and tests a cached method', () => {
  test('may use the fields of its root that its key reads, and await the root', async () => {
    expect(await answer('fromKey', { guardRoots: true })).toBe('7 object');
    expect(await answer('fromNamed', { guardRoots: true })).toBe('7 monday');
  });

  test.each(Object.keys(READERS))('throws when it reads another field of its root: %s', async (requestId) => {
    expect(await answer('fromRoot', { guardRoots: true, requestId })).toMatchObject({
      code: 'UNCOVERED_ROOT',
      message: expect.stringMatching(/^Thing\.fromRoot reads "title" of its root, .*`key`.*`context\.loaders`/),
    });
  });

  test('throws when its tags read another field of its root', async () => {
    expect(await answer('underRootsTags', { guardRoots: true })).toMatchObject({
      code: 'UNCOVERED_ROOT',
      message: expect.stringMatching(/^`tags` of Thing\.underRootsTags reads "title"/),
    });
  });
});

test('in production a cached method gets its root itself', async () => {
  expect(await answer('fromRoot', { guardRoots: true, requestId: 'get' })).toBeInstanceOf(Error);
  expect(await answer('fromRoot', { guardRoots: false, requestId: 'get' })).toBe('old');
});
