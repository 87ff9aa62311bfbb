/** The snippets of README and docs/ work: queries on demo data, TypeScript by its types, curl as it is written. */

import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { buildSchema, type DocumentNode, Kind, parse, validate } from 'graphql';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ProjectId, UserId } from '../../src/db/ids.js';
import type { Source } from '../../src/db/sources.js';
import { fillWithDemoData } from '../../src/development/demo/demo-data.js';
import { userIdOf } from '../../src/development/demo/prepare.js';
import type { Memoized, Store } from '../../src/engine/cache/index.js';
import type { VerifiedToken } from '../../src/graphql/identity.js';
import { answerOf, eventually, type TestApp, testApp } from '../support/app.js';
import { redisUrl } from '../support/servers.js';
import { codesIn, named, ROOT, readPage, rowsOf, SNIPPETS, type Snippet } from './markdown.js';

const OWNER = 'ada';
const NEAR_CACHE_BYTES = 16 * 1024 * 1024;

let app: TestApp;
let ada: UserId;
/** What snippets leave to their reader: the ids of demo data, and a key. */
let variables: Record<string, unknown>;

beforeAll(async () => {
  // Signatures are another test's: snippets of operators need scopes that no demo token has.
  const verifyToken = async (): Promise<VerifiedToken> => ({
    subject: ada,
    scopes: ['cache:admin'],
    expiresAtMs: Date.now() + 3_600_000,
    profile: { handle: undefined, name: undefined },
  });
  app = await testApp({ nearCacheBytes: NEAR_CACHE_BYTES, app: { verifyToken } });
  await app.transactor.transact((tx) => fillWithDemoData(tx, OWNER, Date.now()));
  ada = (await userIdOf(app.databaseUrl, OWNER)) as UserId;
  const { data } = await ask(
    '{ task(identifier: "OPS-42") { id project { id } } other: task(identifier: "OPS-7") { id } }',
  );
  variables = { id: data.task.id, projectId: data.task.project.id, otherId: data.other.id, key: 'once' };
});

afterAll(() => app.close());

const authorization = { authorization: 'Bearer any' };
const ask = (query: string, given: Record<string, unknown> = {}) =>
  app.ask(query, { variables: given, headers: authorization });

const withNames = (language: string) =>
  SNIPPETS.filter((snippet) => snippet.language === language).map((snippet) => ({ ...snippet, name: named(snippet) }));

/** The variables that follow a document on its page. */
function variablesBehind(snippet: Snippet): Record<string, unknown> {
  const next = SNIPPETS[SNIPPETS.findIndex(({ page, line }) => page === snippet.page && line === snippet.line) + 1];
  const given = next?.page === snippet.page && next.language === 'json' ? next.code : '{}';
  try {
    return JSON.parse(given);
  } catch {
    return {}; // a part of a response
  }
}

function variablesOf(document: DocumentNode, snippet: Snippet): Record<string, unknown> {
  const behind = variablesBehind(snippet);
  const names = document.definitions.flatMap((definition) =>
    definition.kind === Kind.OPERATION_DEFINITION
      ? (definition.variableDefinitions ?? []).map(({ variable }) => variable.name.value)
      : [],
  );
  return Object.fromEntries(names.map((name) => [name, behind[name] ?? variables[name]]));
}

test('demo data shows Markdown, an open invitation and tasks in the trash', async () => {
  const { data } = await ask(`{
    task(identifier: "OPS-120") { descriptionHTML comments(last: 1) { nodes { bodyHTML } } }
    project(key: "OPS") { invitations { nodes { email role } } trash(first: 1) { nodes { title } } }
  }`);
  expect(data).toMatchObject({
    task: {
      descriptionHTML: expect.stringMatching(/<strong>.*<ol>.*<table>.*<a href=/s),
      comments: { nodes: [{ bodyHTML: expect.stringContaining('<code>') }] },
    },
    project: {
      invitations: { nodes: [{ email: 'grace.hopper@example.com', role: 'MEMBER' }] },
      trash: { nodes: [{ title: expect.any(String) }] },
    },
  });
});

test.for(withNames('graphql'))(
  'the operation of $name is valid, and runs on demo data without an error',
  async (snippet) => {
    const schema = buildSchema(await readFile(join(ROOT, 'schema.graphql'), 'utf8'));
    const document = parse(snippet.code);
    expect(validate(schema, document)).toEqual([]);
    if (snippet.code.startsWith('subscription')) return;
    const { errors, data } = await ask(snippet.code, variablesOf(document, snippet));
    expect(errors).toBeUndefined();
    expect(data).toBeTruthy();
  },
);

interface CurlRequest {
  readonly headers: Record<string, string>;
  readonly payload: string;
}

/** The requests of curl in a snippet that have a body. */
function curlsIn({ code }: Snippet): CurlRequest[] {
  const commands = code.replaceAll('\\\n', ' ').split('\n');
  return commands.flatMap((command) => {
    const [, payload] = / -d '([^']*)'/.exec(command) ?? [];
    if (!command.startsWith('curl ') || payload === undefined) return [];
    const headers = [...command.matchAll(/ -H '([\w-]+): ([^']*)'/g)].map(([, name = '', value = '']) => [name, value]);
    return [{ payload, headers: { ...Object.fromEntries(headers), ...authorization } }];
  });
}

/** The first answer of an event stream, which goes on for as long as its connection. */
async function firstEvent({ payload, headers }: CurlRequest) {
  if (!app.server.server.listening) await app.server.listen({ host: '127.0.0.1', port: 0 });
  const [{ port }] = app.server.addresses() as [AddressInfo];
  const sent = httpRequest(`http://127.0.0.1:${port}/graphql`, { method: 'POST', agent: false, headers });
  sent.end(payload);
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  let text = '';
  let data: string | undefined;
  for await (const chunk of response.setEncoding('utf8')) {
    text += chunk;
    [, data] = /^data: (.*)\n\n/m.exec(text) ?? [];
    if (data !== undefined) break; // which closes the connection
  }
  return answerOf(response.statusCode ?? 0, JSON.parse(data ?? text));
}

async function send(request: CurlRequest) {
  if (request.headers['accept'] === 'text/event-stream') return firstEvent(request);
  const response = await app.server.inject({ method: 'POST', url: '/graphql', ...request });
  return answerOf(response.statusCode, response.json());
}

test.for(withNames('sh').filter((snippet) => curlsIn(snippet).length > 0))(
  'the requests of $name are answered without an error',
  async (snippet) => {
    for (const request of curlsIn(snippet))
      expect(await send(request)).toMatchObject({ status: 200, errors: undefined });
  },
);

test("the README's trace is what its request gets", async () => {
  const [request] = SNIPPETS.filter(({ page }) => page === 'README.md').flatMap(curlsIn);
  const [shown] = SNIPPETS.filter(({ page, language }) => page === 'README.md' && language === 'json');
  const { data, extensions } = JSON.parse((shown as Snippet).code);
  // Ids are dated back from today, times differ.
  const comparable = (calls: ({ tags: string[] } & Record<string, unknown>)[]) =>
    calls.map(({ tags, startMs: _, roundTrips: __, key: ___, ...call }) => ({
      ...call,
      tags: tags.map((tag) => tag.replace(/[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}/, 'id')),
      ...{ ageMs: 0, ttlLeftMs: 0, bytes: 0, ms: 0 },
    }));
  await eventually(async () => {
    const answer = await send(request as CurlRequest);
    expect(answer.cache?.totals).toEqual({ ...extensions.cache.totals, ms: expect.any(Number) });
    expect(comparable(answer.cache?.calls as never)).toEqual(comparable(extensions.cache.calls));
    expect(answer.data.task.assignee).toEqual(data.task.assignee);
  });
});

test('docs/redis-layout.md has a row for every key that the snippets above left in Redis', async () => {
  await app.settled();
  const forms = rowsOf(readPage('docs/redis-layout.md').text)
    .flatMap(([first]) => codesIn(first))
    .filter((form) => form.includes('tasks'))
    .map((form) => form.replace('tasks', app.group).replace(/<.*/, ''));
  const redis = new Redis(redisUrl());
  try {
    const keys = await redis.keys(`*${app.group}*`);
    expect(keys.length).toBeGreaterThan(10);
    expect(keys.filter((key) => !forms.some((form) => key.startsWith(form)))).toEqual([]);
  } finally {
    redis.disconnect();
  }
});

/** Writes the TypeScript of the pages beside their folder, so that its imports lead where the pages say. */
async function withTypeScript(use: (folder: string, snippets: readonly Snippet[]) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(ROOT, '.docs-'));
  try {
    // Those of the package are run by test/package/create-cache.test.ts.
    const snippets = SNIPPETS.filter(({ language, code }) => language === 'ts' && !code.includes("'tagfence'"));
    for (const [i, { code }] of snippets.entries()) await writeFile(join(folder, `${i}.ts`), code);
    const config = { extends: '../tsconfig.json', compilerOptions: { noUnusedLocals: false }, include: ['*.ts'] };
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(config));
    await use(folder, snippets);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

test("the TypeScript of all pages compiles with the repository's settings", () =>
  withTypeScript(async (folder, snippets) => {
    const compiler = join(ROOT, 'node_modules/typescript/bin/tsc');
    const ended = await promisify(execFile)(process.execPath, [compiler, '-p', folder]).catch((error) => error);
    const pages = snippets.map((snippet, i) => `${i}.ts: ${named(snippet)}`).join('\n');
    expect({ stdout: ended.stdout, stderr: ended.stderr }, pages).toEqual({ stdout: '', stderr: '' });
  }));

/** What the TypeScript of a page exports. */
function exportsOf<T>(page: string, use: (module: T) => Promise<void>): Promise<void> {
  return withTypeScript(async (folder, snippets) => {
    const index = snippets.findIndex((snippet) => snippet.page === page);
    await use(await import(join(folder, `${index}.ts`)));
  });
}

interface Memoization {
  exchangeRates(store: Store, fetchRate: () => Promise<number>): Memoized<[string, string], number>;
  example(rate: Memoized<[string, string], number>): Promise<void>;
}

test('the memoized function of docs/memoization.md serves what it has computed until it is invalidated', () =>
  exportsOf<Memoization>('docs/memoization.md', async ({ exchangeRates, example }) => {
    let runs = 0;
    const rate = exchangeRates(app.cache.store, async () => ++runs);
    await eventually(async () => expect(await rate('EUR', 'USD')).toBe(await rate('EUR', 'USD')));
    const computed = runs;
    await example(rate);
    expect(await rate('EUR', 'USD')).toBeGreaterThan(computed);
  }));

test('the source of docs/caching-policies.md counts what the API counts', () =>
  exportsOf<{ openTaskCount: Source<ProjectId, number> }>('docs/caching-policies.md', async ({ openTaskCount }) => {
    const { data } = await ask(
      '{ project(key: "OPS") { id tasks(filter: { status: { neq: DONE } }) { totalCount } } }',
    );
    expect(await openTaskCount.load([data.project.id], app.db)).toEqual([data.project.tasks.totalCount]);
  }));
