/**
 * Whatever is sent, the API answers in its own form, blames nobody but the client, and keeps nothing of it. `FUZZ_CASES` for more,
 * `FUZZ_SEED` for the same again.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MAX_STORED_DOCUMENT_BYTES } from '../../src/graphql/limits.js';
import { signToken } from '../../src/server/auth/tokens.js';
import { type TestApp, TOKENS, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { Fuzz, type FuzzedRequest } from '../support/fuzz.js';
import { heapBytes } from '../support/heap.js';
import { type Line, readableLog } from '../support/log.js';

const CASES = Number(process.env.FUZZ_CASES || 1_000);
const SEED = Number(process.env.FUZZ_SEED || Date.now() % 1_000_000);
/** At once: they share the loads of a turn. */
const AT_ONCE = 16;
/** Of the second half, without parsed documents: these are bounded, but not yet full by then. */
const MAX_GROWTH_BYTES = 4 * 1024 * 1024;
const MAX_TOLD = 5;
const PADDING_CHARS = 256 * 1024;

const DOCUMENTS = [
  '{ projects { nodes { key name stats { total overdue completedLast7Days } tasks(first: 5, filter: { status: { in: [TODO, IN_PROGRESS] } }) { nodes { identifier title priority assignee { name } labels { nodes { name } } commentCount } } } } }',
  'query Page($first: Int = 10, $after: String) { tasks(first: $first, after: $after, orderBy: [{ field: PRIORITY }]) { totalCount pageInfo { hasNextPage endCursor } edges { cursor node { ...T } } } } fragment T on Task { id title dueDate project { id key } comments(first: 2) { nodes { body author { handle } } } }',
  '{ viewer { id handle assignedTasks(first: 3) { nodes { id title version } } } node(id: "x") { id ... on Task { title } } }',
  'mutation { createTask(input: { projectId: "x", title: "New", labelIds: [] }) { task { id } errors { code message path } } }',
  '{ tasks(filter: { or: [{ title: { contains: "a" } }, { not: { assignee: { null: true } } }], search: "task" }) { nodes { id } } }',
];

/** It was no monologue: each kind was refused, and those that can were answered. */
const ENDS = ['valid answered', 'valid refused', 'broken answered', 'broken refused', 'variables answered'];

let app: TestApp;
let f: Fixture;
let lines: Line[];
beforeAll(async () => {
  const { log, lines: written } = readableLog();
  lines = written;
  app = await testApp({ app: { log } });
  f = await fixture(app);
});
afterAll(() => app?.close());

test(
  `${CASES} requests at random, seed ${SEED}`,
  async () => {
    const page = await app.ask('{ tasks(first: 3) { edges { cursor } } }', { as: f.ada.id });
    const cursors = page.data.tasks.edges.map(({ cursor }: { cursor: string }) => cursor);
    const ids = [f.ada, f.bob, f.eve, f.ops, f.web, f.bug, ...f.opsTasks.slice(0, 3)].map(({ id }) => id as string);
    const known = [...ids, ...cursors, 'OPS-1', 'WEB-1', 'OPS', 'WEB', 'ada', 'bug', 'Task 1'];
    const fuzz = new Fuzz(SEED, { schema: app.schema, documents: DOCUMENTS, known });
    const authorization = `Bearer ${await signToken(TOKENS, f.ada.id, '6h')}`;
    const faults: object[] = [];
    const answers = new Map<string, number>();

    const send = async (request: FuzzedRequest) => {
      const { kind, ...rest } = request;
      const response = await app.server.inject({ ...rest, headers: { authorization, ...rest.headers } });
      const { fault, ended } = judged(response.statusCode, response.body);
      answers.set(`${kind} ${ended}`, (answers.get(`${kind} ${ended}`) ?? 0) + 1);
      if (fault !== undefined && faults.length < MAX_TOLD) {
        faults.push({ fault, request: shortened(request), logged: lines.at(-1)?.err });
      }
    };
    const ask = (query: string) => app.ask(query, { as: f.ada.id });
    let halfway = 0;
    // A broken document is answered once in some 250 times: more are sent until each end has been seen.
    const seen = () => ENDS.every((how) => answers.has(how));
    for (let sent = 0; sent < CASES || (sent < 4 * CASES && !seen()); sent += AT_ONCE) {
      if (halfway === 0 && sent >= CASES / 2) {
        await replaceDocuments(ask);
        halfway = heapBytes();
      }
      await Promise.all(Array.from({ length: AT_ONCE }, () => send(fuzz.next())));
      app.reset();
      lines.length = 0;
    }
    await app.settled();
    await replaceDocuments(ask);
    const growth = heapBytes() - halfway;
    if (process.env.FUZZ_CASES) console.log({ growthMiB: growth / 2 ** 20, answers: [...answers].sort() });

    expect(faults).toEqual([]);
    expect(growth).toBeLessThan(MAX_GROWTH_BYTES);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    for (const how of ENDS) expect(answers.get(how), how).toBeGreaterThan(0);
    expect((await app.ask('{ viewer { id } }', { as: f.ada.id })).data).toEqual({ viewer: { id: f.ada.id } });
  },
  60_000 + CASES * 20,
);

/** Replaces the parsed documents by some that are counted for more memory than they take. */
async function replaceDocuments(ask: (query: string) => Promise<unknown>): Promise<void> {
  const padding = ' '.repeat(PADDING_CHARS);
  for (let bytes = 0; bytes <= MAX_STORED_DOCUMENT_BYTES; bytes += 2 * padding.length) {
    await ask(`query Filler${bytes} { viewer { handle } }${padding}`);
  }
}

function judged(status: number, body: string): { fault?: string; ended: 'answered' | 'refused' | 'without a body' } {
  if (status >= 500) return { fault: `${status} ${body.slice(0, 300)}`, ended: 'refused' };
  if (body === '') return { ended: 'without a body' };
  let answer: { data?: unknown; errors?: { message: unknown; extensions?: { code?: unknown } }[] };
  try {
    answer = JSON.parse(body);
  } catch {
    return { fault: `no JSON: ${body.slice(0, 300)}`, ended: 'refused' };
  }
  const ended = answer.data ? 'answered' : 'refused';
  if (answer.data === undefined && !answer.errors?.length) return { fault: `neither data nor errors: ${body}`, ended };
  const odd = answer.errors?.find(
    ({ message, extensions }) =>
      typeof message !== 'string' ||
      typeof extensions?.code !== 'string' ||
      extensions.code === 'INTERNAL_SERVER_ERROR',
  );
  return odd === undefined ? { ended } : { fault: JSON.stringify(odd).slice(0, 500), ended };
}

function shortened(request: FuzzedRequest): object {
  return { ...request, url: request.url.slice(0, 2000), payload: request.payload?.slice(0, 2000) };
}
