/** Documents that clients name: registered by themselves, shared by all processes; or listed by a build, and made the only ones. */
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MemoryStore } from '../../src/engine/cache/index.js';
import { readConfig } from '../../src/platform/config.js';
import { ConfigError } from '../../src/platform/config-error.js';
import { signToken } from '../../src/server/auth/tokens.js';
import { RegisteredDocuments, readManifest } from '../../src/server/operations/persisted-documents.js';
import { eventually, type TestApp, TOKENS, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { type Line, readableLog } from '../support/log.js';
import { intercepted } from '../support/stores.js';

let app: TestApp;
let f: Fixture;
let directory: string;
beforeAll(async () => {
  app = await testApp();
  f = await fixture(app);
  directory = await mkdtemp(join(tmpdir(), 'tasks-manifest-'));
});
afterAll(async () => {
  await app?.close();
  await rm(directory, { recursive: true, force: true });
});

const sha = (text: string) => createHash('sha256').update(text).digest('hex');
const code = (errors: readonly { extensions: Record<string, unknown> }[] | undefined) =>
  errors?.[0]?.extensions['code'];

async function post(to: TestApp, payload: object) {
  const headers = {
    authorization: `Bearer ${await signToken(TOKENS, f.ada.id, '1h')}`,
    accept: 'application/graphql-response+json',
  };
  const response = await to.server.inject({ method: 'POST', url: '/graphql', headers, payload });
  return { status: response.statusCode, ...response.json() };
}
async function get(to: TestApp, params: [string, string][]) {
  const headers = {
    authorization: `Bearer ${await signToken(TOKENS, f.ada.id, '1h')}`,
    'apollo-require-preflight': '1',
  };
  const response = await to.server.inject({ method: 'GET', url: `/graphql?${new URLSearchParams(params)}`, headers });
  return { status: response.statusCode, ...response.json() };
}

describe('registered by clients', () => {
  const named = (document: string) => ({ persistedQuery: { version: 1, sha256Hash: sha(document) } });
  const ADA = { viewer: { handle: 'ada' } };

  test('a document that one process was sent, another answers by its hash', async () => {
    const document = '{ viewer { handle } } # shared';
    const other = await testApp({ databaseUrl: app.databaseUrl, group: app.group });
    try {
      expect(code((await post(other, { extensions: named(document) })).errors)).toBe('PERSISTED_QUERY_NOT_FOUND');
      expect((await post(app, { query: document, extensions: named(document) })).data).toEqual(ADA);
      await eventually(async () => expect((await post(other, { extensions: named(document) })).data).toEqual(ADA));
    } finally {
      await other.close();
    }
  });

  test('where the store is away clients are asked to send it, and are answered', async () => {
    const document = '{ viewer { handle } } # away';
    const away = await testApp({
      databaseUrl: app.databaseUrl,
      wrap: (store) =>
        intercepted(store, (step) => {
          if (step === 'remember' || step === 'recall') throw new Error('away');
        }),
    });
    try {
      const first = await post(away, { extensions: named(document) });
      expect([first.status, code(first.errors)]).toEqual([200, 'PERSISTED_QUERY_NOT_FOUND']);
      expect((await post(away, { query: document, extensions: named(document) })).data).toEqual(ADA);
    } finally {
      await away.close();
    }
  });

  test('nobody registers without a token, nor what is not valid', async () => {
    const document = '{ viewer { handle } } # nobody';
    const invalid = '{ viewer { nothing } }';
    const payload = { query: document, extensions: named(document) };
    expect((await app.server.inject({ method: 'POST', url: '/graphql', payload })).statusCode).toBe(401);
    expect((await post(app, { query: invalid, extensions: named(invalid) })).status).toBe(400);
    for (const text of [document, invalid]) {
      expect(code((await post(app, { extensions: named(text) })).errors)).toBe('PERSISTED_QUERY_NOT_FOUND');
    }
  });

  test('introspection, which needs no token, registers no document', async () => {
    const document = '{ __typename } # for everyone';
    const payload = { query: document, extensions: named(document) };
    expect((await app.server.inject({ method: 'POST', url: '/graphql', payload })).json()).toMatchObject({
      data: { __typename: 'Query' },
    });
    expect(code((await post(app, { extensions: named(document) })).errors)).toBe('PERSISTED_QUERY_NOT_FOUND');
  });

  test('a document of 10 KiB is registered; one byte more is answered and not registered', async () => {
    const padded = (bytes: number) => '{ viewer { handle } } #'.padEnd(bytes, 'x');
    const [largest, over] = [padded(10 * 1024), padded(10 * 1024 + 1)];
    for (const document of [largest, over]) {
      expect((await post(app, { query: document, extensions: named(document) })).data).toEqual(ADA);
    }
    expect((await post(app, { extensions: named(largest) })).data).toEqual(ADA);
    expect(code((await post(app, { extensions: named(over) })).errors)).toBe('PERSISTED_QUERY_NOT_FOUND');
  });

  test('a viewer registers 1 MiB a day and no more, another one still does', async () => {
    const store = new MemoryStore();
    const [one, other] = [new RegisteredDocuments(store), new RegisteredDocuments(store)];
    const document = (n: number) => `{ a } # ${n} `.padEnd(10 * 1024, 'x');
    const nameOf = (n: number) => `apq:${sha(String(n))}`;
    for (let n = 0; n < 110; n++) await one.register(nameOf(n), document(n), f.ada.id);
    const kept = await Promise.all(Array.from({ length: 110 }, (_, n) => other.get(nameOf(n))));
    expect(kept.filter((text) => text !== undefined)).toHaveLength(102);
    await one.register(nameOf(109), document(109), f.bob.id);
    expect(await other.get(nameOf(109))).toBe(document(109));
  });

  test('the same document registered again costs nothing of the budget', async () => {
    const registered = new RegisteredDocuments(new MemoryStore());
    const [name, text] = [`apq:${sha('again')}`, 'x'.repeat(10 * 1024)];
    for (let n = 0; n < 200; n++) await registered.register(name, text, f.ada.id);
    await registered.register(`apq:${sha('new')}`, '{ a }', f.ada.id);
    expect(await registered.get(`apq:${sha('new')}`)).toBe('{ a }');
  });

  test('no name of a client becomes a key but a hash', async () => {
    const registered = new RegisteredDocuments(new MemoryStore());
    await registered.register('apq:x', '{ a }', f.ada.id);
    expect(await registered.get('apq:x')).toBeUndefined();
  });
});

describe('of a manifest', () => {
  const LISTED = 'query Who($n: Int) { viewer { handle } tasks(first: $n) { nodes { title } } }';
  const UNLISTED = '{ viewer { handle } }';
  const id = `sha256:${sha(LISTED)}`;
  const manifest = new Map([[sha(LISTED), LISTED]]);
  const answered = { data: { viewer: { handle: 'ada' }, tasks: { nodes: [{ title: expect.any(String) }] } } };

  const withMode = async (mode: 'warn' | 'enforce', run: (to: TestApp, lines: Line[]) => Promise<void>) => {
    const { log, lines } = readableLog();
    const overrides = { persistedDocuments: { mode, manifest }, log };
    const to = await testApp({ databaseUrl: app.databaseUrl, app: overrides });
    try {
      await run(to, lines);
    } finally {
      await to.close();
    }
  };

  test.each(['warn', 'enforce'] as const)(
    '%s: a document is asked for by its id, in a body and in an address',
    (mode) =>
      withMode(mode, async (to, lines) => {
        const n = { n: 1 };
        expect(await post(to, { documentId: id, variables: n })).toMatchObject(answered);
        expect(
          await get(to, [
            ['documentId', id],
            ['variables', JSON.stringify(n)],
          ]),
        ).toMatchObject(answered);
        expect(await post(to, { query: LISTED, variables: n })).toMatchObject(answered);
        for (const unknown of ['sha256:none', '', '__proto__']) {
          const answer = await post(to, { documentId: unknown });
          expect([answer.status, code(answer.errors)]).toEqual([400, 'PERSISTED_DOCUMENT_NOT_FOUND']);
        }
        expect(code((await get(to, [['documentId', 'sha256:none']])).errors)).toBe('PERSISTED_DOCUMENT_NOT_FOUND');
        for (const bad of [{ documentId: 1 }, { documentId: null }, { documentId: id, query: LISTED }]) {
          expect(code((await post(to, bad)).errors)).toBe('BAD_REQUEST');
        }
        expect(
          code(
            (
              await get(to, [
                ['documentId', id],
                ['documentId', id],
              ])
            ).errors,
          ),
        ).toBe('BAD_REQUEST');
        expect(lines).toEqual([]);
      }),
  );

  test('warn: others run, are told once each, and are counted', () =>
    withMode('warn', async (to, lines) => {
      for (let i = 0; i < 3; i++) expect((await post(to, { query: UNLISTED })).data).toBeTruthy();
      expect((await get(to, [['query', UNLISTED]])).data).toBeTruthy();
      expect(lines).toMatchObject([{ documentId: `sha256:${sha(UNLISTED)}`, start: UNLISTED }]);
      expect(await to.metrics.text()).toContain('graphql_unlisted_documents_total 4');
    }));

  test('enforce: nothing else runs, by no way', () =>
    withMode('enforce', async (to) => {
      const extensions = { persistedQuery: { version: 1, sha256Hash: sha(UNLISTED) } };
      const ways = [
        post(to, { query: UNLISTED }),
        post(to, { query: UNLISTED, extensions }),
        post(to, { extensions }),
        post(to, { query: `${LISTED} ` }),
        post(to, { query: '{ __schema { types { name } } }' }),
        post(to, { query: 1 }),
        get(to, [['query', UNLISTED]]),
        get(to, [['extensions', JSON.stringify(extensions)]]),
      ];
      for (const { status, errors, data } of await Promise.all(ways)) {
        expect([status, code(errors), data]).toEqual([400, 'PERSISTED_DOCUMENT_REQUIRED', undefined]);
      }
      const batch = await to.server.inject({ method: 'POST', url: '/graphql', payload: [{ query: UNLISTED }] });
      expect(batch.statusCode).toBe(400);
      const twice = await get(to, [
        ['query', LISTED],
        ['query', UNLISTED],
      ]);
      expect([twice.status, code(twice.errors)]).toEqual([400, 'BAD_REQUEST']);
      // Registered elsewhere, it is still not listed.
      await post(app, { query: UNLISTED, extensions });
      expect(code((await post(to, { extensions })).errors)).toBe('PERSISTED_DOCUMENT_REQUIRED');
    }));

  test('without a mode a manifest is looked at, with off it is not; a mode needs one', () => {
    const PERSISTED_DOCUMENTS = 'documents.json';
    const read = (env: Record<string, string>) => readConfig(env).persistedDocuments;
    expect(read({ PERSISTED_DOCUMENTS })).toEqual({ path: PERSISTED_DOCUMENTS, mode: 'warn' });
    expect(read({ PERSISTED_DOCUMENTS, PERSISTED_DOCUMENTS_MODE: 'off' })).toBeUndefined();
    expect(read({ PERSISTED_DOCUMENTS, PERSISTED_DOCUMENTS_MODE: 'enforce' })).toMatchObject({ mode: 'enforce' });
    expect(() => read({ PERSISTED_DOCUMENTS_MODE: 'enforce' })).toThrow('PERSISTED_DOCUMENTS: required');
    expect(() => read({ PERSISTED_DOCUMENTS_MODE: 'maybe' })).toThrow('PERSISTED_DOCUMENTS_MODE: expected');
  });

  test('off: an id is not looked at, so there is no document', async () => {
    const answer = await post(app, { documentId: id });
    expect([answer.status, code(answer.errors)]).toEqual([400, 'BAD_REQUEST']);
    expect((await post(app, { query: UNLISTED, documentId: id })).data).toBeTruthy();
  });

  test('a manifest is read with ids of both forms', async () => {
    const path = join(directory, 'good.json');
    await writeFile(path, JSON.stringify({ [sha('a')]: '{ a }', [`sha256:${sha('b')}`]: '{ b }' }));
    expect([...(await readManifest(path))]).toEqual([
      [sha('a'), '{ a }'],
      [sha('b'), '{ b }'],
    ]);
  });

  test.each([
    ['missing', undefined, 'a file that can be read'],
    ['no JSON', '{', 'a JSON object'],
    ['a list', '[]', 'a JSON object'],
    ['empty', '{}', 'at least one document'],
    ['with a number', '{"abc": 1}', '"abc": expected a document as text'],
    ['with nonsense', '{"abc": "{ viewer {"}', '"abc": expected a GraphQL document'],
  ])('a manifest that is %s is told with its name and what was expected', async (name, text, expected) => {
    const path = join(directory, `${name}.json`);
    if (text !== undefined) await writeFile(path, text);
    const error = await readManifest(path).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(ConfigError);
    expect(error.message).toContain(path);
    expect(error.message).toContain(expected);
  });
});
