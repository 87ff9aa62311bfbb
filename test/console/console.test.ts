/**
 * The console as a person uses it, in a browser: two processes under load, writes of the other one and by SQL.
 */
import { createHook } from 'node:async_hooks';
import { setTimeout } from 'node:timers/promises';
import type { Browser, Page } from 'playwright-core';
import type { Sql } from 'postgres';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { toUuid } from '../../src/db/ids.js';
import { EXAMPLE_QUERY } from '../../src/development/demo/example-query.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { consoleBundle } from '../../src/server/http/console-bundle.js';
import { chromiumPath, launchChromium, needsChromium, type OpenedPage, openPage } from '../support/chromium.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { type LiveApp, liveApp } from '../support/live.js';
import { open as openLive } from '../support/live-client.js';

const NEAR_CACHE_BYTES = 16 * 1024 * 1024;
const VIEWS = ['now', 'policies', 'invalidations', 'explain', 'lookup?text=OPS-1', 'health'];
/** Not a multiple of the priorities: each change of a task is one. */
const TASKS = 37;
/** Between two turns of the load: the servers, the load and the tests share one thread. */
const PAUSE_MS = 50;
const PRIORITIES = ['LOW', 'HIGH', 'MEDIUM', 'URGENT'];

let database: TestDatabase;
let app: LiveApp;
/** Another process. */
let other: LiveApp;
let sql: Sql;
let f: Fixture;
let token: string;
let load: Load;

beforeAll(async () => {
  database = await createDatabase();
  const { url: databaseUrl } = database;
  const first = await liveApp({ databaseUrl });
  f = await fixture(first, TASKS);
  token = await first.tokenOf(f.ada.id, 'cache:admin', 'cache:trace');
  sql = postgresClient(databaseUrl, { max: 1 });
  await sql`update tasks set status = 'TODO'`; // the example lists those to do
  await first.close();
  const { group } = first;
  const page = { bundle: consoleBundle, document: EXAMPLE_QUERY };
  const explorer = { token, document: EXAMPLE_QUERY };
  const options = { databaseUrl, group, nearCacheBytes: NEAR_CACHE_BYTES };
  app = await liveApp({ ...options, explorer, app: { console: { ...page, token } } });
  other = await liveApp({ ...options, app: { console: page } });
});
afterAll(async () => {
  await load?.stop();
  await sql?.end();
  await other?.close();
  await app?.close();
  await database?.drop();
});

/** People who work: they read boards and tasks, and change some, on both processes. */
class Load {
  #over = false;
  readonly #running = [app, other].map((process, i) => this.#run(process, i));

  async #run(process: LiveApp, i: number): Promise<void> {
    for (let turn = i * 2; !this.#over; turn++) {
      const task = f.opsTasks[turn % TASKS];
      const variables = { id: task?.id };
      await process.ask(EXAMPLE_QUERY, { as: f.ada.id });
      await process.ask('query Task($id: ID!) { task(id: $id) { title assignee { name } } }', {
        as: f.bob.id,
        variables,
      });
      await process.ask('query Viewer { viewer { name } }', { as: f.vic.id });
      if (turn % 4 === 0) await setPriority(process, turn);
      await setTimeout(PAUSE_MS);
    }
  }

  async stop(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#running);
  }
}

async function setPriority(process: LiveApp, turn: number): Promise<void> {
  const input = { id: f.opsTasks[(turn / 4) % TASKS]?.id, priority: PRIORITIES[(turn / 4) % PRIORITIES.length] };
  const text = 'mutation SetPriority($input: UpdateTaskInput!) { updateTask(input: $input) { task { priority } } }';
  await process.ask(text, { as: f.ada.id, variables: { input } });
}

test('the page and its files come from the server, and its policy allows nothing else', async () => {
  const get = (url: string) => app.server.inject({ method: 'GET', url });
  const { body, headers } = await get('/console');
  expect(headers['content-security-policy']).toMatch(/default-src 'none'.*script-src 'self';style-src 'self'/);
  expect(headers['cache-control']).toBe('no-store');
  const files = [...body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, url]) => url as string);
  const own = files.filter((url) => !url.startsWith('data:'));
  expect(own).toEqual([expect.stringMatching(/^\/console\/.*\.css$/), expect.stringMatching(/^\/console\/.*\.js$/)]);
  for (const url of own) expect((await get(url)).headers['cache-control']).toContain('immutable');
  expect((await get('/console/other.js')).statusCode).toBe(404);
});

test('each file of the page is compressed once for all who get it', async () => {
  const { body } = await app.server.inject({ method: 'GET', url: '/console' });
  const [script] = /\/console\/[^"]+\.js/.exec(body) ?? [];
  const headers = { 'accept-encoding': 'br' };
  let compressions = 0;
  const hook = createHook({
    init(_, type) {
      if (type === 'ZLIB') compressions++;
    },
  }).enable();
  try {
    for (let i = 0; i < 5; i++) {
      const file = await app.server.inject({ method: 'GET', url: script as string, headers });
      expect([file.statusCode, file.headers['content-encoding']]).toEqual([200, 'br']);
    }
    expect(compressions).toBe(1);
  } finally {
    hook.disable();
  }
});

test('in production the page and its files count for the address that requests them', async () => {
  const console = { bundle: consoleBundle };
  const options = { production: true, console, rateLimit: { points: 1, seconds: 3600 } };
  const limited = await liveApp({ databaseUrl: app.databaseUrl, app: options });
  try {
    const statuses: number[] = [];
    for (let i = 0; i < 25; i++) {
      const url = i % 2 === 0 ? '/console' : '/console/other.js';
      statuses.push((await limited.server.inject({ method: 'GET', url })).statusCode);
    }
    expect(statuses.filter((status) => status === 429)).toHaveLength(5); // an address has 20 times the points
  } finally {
    await limited.close();
  }
});

test('without the option there is no console', async () => {
  const plain = await liveApp({ databaseUrl: app.databaseUrl });
  try {
    expect((await plain.server.inject({ method: 'GET', url: '/console' })).statusCode).toBe(404);
  } finally {
    await plain.close();
  }
});

describe.skipIf(chromiumPath === undefined)(`in Chromium${needsChromium}`, () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchChromium();
    load = new Load();
  });
  // A console that stays open goes on receiving and drawing, beside those of later tests.
  afterEach(() => Promise.all(browser.contexts().map((context) => context.close())));
  afterAll(() => browser?.close());

  interface Look {
    readonly theme?: 'light' | 'dark';
    readonly width?: number;
    readonly of?: LiveApp;
  }

  /** Opens a view and waits until the stream of activity is there. */
  async function open(view: string, { theme = 'light', width = 1280, of = app }: Look = {}): Promise<OpenedPage> {
    const opened = await openPage(browser, of.origin);
    await opened.page.setViewportSize({ width, height: 800 });
    await opened.page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
    await opened.page.goto(`${of.origin}/console#/${view}`);
    if (of === app) await opened.page.getByText('Live · 2 processes').waitFor();
    return opened;
  }

  const panel = (page: Page, name: string) => page.getByRole('region', { name, exact: true });

  test('Now shows how requests are answered, each operation, the lease, the relay and both processes', async () => {
    const { page, faults, outside } = await open('now');
    for (const name of ['Board', 'Task', 'Viewer', 'SetPriority']) {
      await page.getByRole('rowheader', { name, exact: true }).waitFor();
    }
    await page.getByRole('img', { name: /^Requests, requests\/s: kept answer [1-9]/ }).waitFor();
    await page
      .getByText(/[1-9][\d,.]*\/s saved/)
      .first()
      .waitFor();
    await panel(page, 'Lease and relay').getByText('leased', { exact: true }).waitFor();
    expect(await panel(page, 'Processes').getByText(`pid ${process.pid}`).count()).toBe(2);
    expect(await panel(page, 'Processes').getByText('this one').count()).toBe(1);
    expect(faults).toEqual([]);
    expect(outside).toEqual([]);
  });

  test('Now shows live queries: how many, their runs, and the time to an answer', async () => {
    const { page } = await open('now');
    const query = 'query Titles @live { tasks(first: 20) { nodes { title priority } } }';
    const client = await openLive('WebSocket', app, { as: f.ada.id, operation: { query } });
    try {
      const live = panel(page, 'Live queries');
      await live.getByText('1 query of 1 client').waitFor();
      await live.getByText(/^p50 .+, p95 /).waitFor(); // the load changes priorities
    } finally {
      client.leave();
    }
    await panel(page, 'Live queries').getByText('0 queries of 0 clients').waitFor();
  });

  test('Policies are sorted by any column, and a click shows the last misses of one', async () => {
    const { page } = await open('policies');
    const names = () => page.locator('tbody > tr > th').allInnerTexts();
    await page.getByRole('button', { name: 'Policy' }).click();
    const sorted = await names();
    expect(sorted).toEqual([...sorted].sort());
    await page.getByRole('button', { name: 'Policy' }).click();
    expect(await names()).toEqual([...sorted].reverse());
    await page.getByRole('link', { name: 'Project.stats' }).click();
    await page.getByRole('cell', { name: 'invalid' }).first().waitFor();
    expect(page.url()).toContain('#/policies?policy=Project.stats');
  });

  test('Invalidations shows a write of another process and one by SQL, by table, and can be paused', async () => {
    const { page } = await open('invalidations');
    const list = page.getByRole('listitem');
    await list.filter({ hasText: 'API' }).filter({ hasText: 'tasks' }).first().waitFor();
    await sql`update users set name = 'By SQL' where id = ${toUuid(f.eve.id)}`;
    await list.filter({ hasText: 'outside the API' }).filter({ hasText: 'users' }).first().waitFor();
    await page.getByLabel('Table').selectOption('users');
    expect(await list.filter({ hasText: 'tasks:' }).count()).toBe(0);
    await list
      .getByRole('link', { name: /^users:id=/ })
      .first()
      .waitFor();
    await page.getByLabel('Table').selectOption('all tables');
    await page.getByRole('button', { name: 'Pause' }).click();
    const shown = await page.locator('.stream').innerText();
    await page.getByText(/Paused; [1-9]\d* more arrived/).waitFor();
    expect(await page.locator('.stream').innerText()).toBe(shown);
    await page.getByRole('button', { name: 'Continue' }).click();
    await expect.poll(() => page.locator('.stream').innerText()).not.toBe(shown);
  });

  test('Explain shows levels, SQL and outcomes, and which fields a write makes the next run read again', async () => {
    await load.stop(); // so that the second run finds what the first one left
    try {
      await explainAndTouch();
    } finally {
      load = new Load();
    }
  });

  async function explainAndTouch(): Promise<void> {
    const { page } = await open('explain');
    await page.getByRole('button', { name: 'Run', exact: true }).click();
    await page.getByRole('region', { name: 'Level 1' }).waitFor();
    await page.getByRole('button', { name: 'Run twice' }).click();
    const totals = page.getByLabel('Totals of the run');
    await totals.getByText('0 in the run before').waitFor();
    await page.getByRole('button', { name: 'Write and run again' }).click();
    const touched = panel(page, 'Touch a row');
    await touched.getByText(/\d tags invalidated/).waitFor();
    await touched.getByRole('link', { name: /^tasks:id=…/ }).waitFor();
    await touched.getByRole('listitem').filter({ hasText: 'Project.stats' }).getByText('loaded').waitFor();
    const statement = panel(page, 'Waterfall')
      .getByText(/^select/)
      .first();
    await statement.click();
    await page
      .locator('pre')
      .filter({ hasText: /from "?tasks/ })
      .first()
      .waitFor();
  }

  test('the explorer leads to Explain with its operation, and the console back to the explorer', async () => {
    const { page } = await openPage(browser, app.origin);
    await page.goto(`${app.origin}/explorer`);
    await page.getByRole('link', { name: 'Explain in the console' }).click();
    await page.getByRole('heading', { name: 'Explain' }).waitFor();
    expect(await page.getByLabel('GraphQL').inputValue()).toBe(EXAMPLE_QUERY);
    expect(await page.getByRole('link', { name: 'Explorer' }).getAttribute('href')).toBe('/');
  });

  test('the operation of a link is in Explain, and a wrong one is answered in words', async () => {
    const { page } = await open(`explain?${new URLSearchParams({ query: 'query Mine { viewer { nick } }' })}`);
    expect(await page.getByLabel('GraphQL').inputValue()).toBe('query Mine { viewer { nick } }');
    await page.getByRole('button', { name: 'Run', exact: true }).click();
    await page
      .getByRole('alert')
      .getByText(/Cannot query field "nick"/)
      .waitFor();
    await page.getByLabel('Variables, as JSON').fill('{ id }');
    await page.getByRole('button', { name: 'Run', exact: true }).click();
    await page
      .getByRole('alert')
      .getByText(/Variables: expected JSON/)
      .waitFor();
  });

  test('Explain shows the fence of a mutation before its commit, and the release after it', async () => {
    const id = f.opsTasks[0]?.id;
    const query = `mutation { updateTask(input: { id: "${id}", title: "Fenced ${Date.now()}" }) { errors { message } } }`;
    const { page } = await open(`explain?${new URLSearchParams({ query })}`);
    await page.getByRole('button', { name: 'Run', exact: true }).click();
    const waterfall = panel(page, 'Waterfall');
    for (const step of ['FENCE', 'RELEASE']) await waterfall.getByText(step, { exact: true }).waitFor();
    await waterfall.getByText('FENCE', { exact: true }).click();
    await waterfall.getByText(/^Before COMMIT:/).waitFor();
  });

  test('A row or tag finds a task by its identifier, with the tags of a change and what is held under them', async () => {
    const { page } = await open('lookup');
    await page.getByLabel('Row or tag').fill('OPS-1');
    await page.getByRole('button', { name: 'Look up' }).click();
    await page.getByText(f.opsTasks[0]?.id as string, { exact: true }).waitFor();
    const own = page.getByRole('listitem').filter({ hasText: 'tasks:id=' });
    await own.getByText(/\d+ entr(y|ies)/).waitFor();
    await own.locator('summary').click();
    await own.getByText(`tasks:id=${toUuid(f.opsTasks[0]?.id as never)}`, { exact: true }).waitFor();
    await page.getByLabel('Row or tag').fill('nothing:at=all');
    await page.keyboard.press('Enter');
    await page
      .getByRole('alert')
      .getByText(/expected/)
      .waitFor();
  });

  test('Health says that all is well, with the pools of both processes', async () => {
    const { page } = await open('health');
    await page.getByText('All is well.').waitFor();
    await panel(page, 'Postgres and callers')
      .getByText(/[1-9][\d,]* rows/)
      .waitFor();
    expect(await panel(page, 'Pools and subscriptions').getByText('writes').count()).toBe(2);
  });

  const LOOKS = [
    ['light', 1280, 'rgb(246, 247, 249)'],
    ['light', 400, 'rgb(246, 247, 249)'],
    ['dark', 400, 'rgb(14, 18, 22)'],
    ['dark', 1280, 'rgb(14, 18, 22)'],
  ] as const;

  test.each(VIEWS)('the view %s fits a wide and a narrow window, in light and dark', async (view) => {
    const { page, faults } = await open(view);
    await filled(page, view);
    for (const [colorScheme, width, background] of LOOKS) {
      await page.setViewportSize({ width, height: 800 });
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      const shown = () =>
        page.evaluate(`({
          overflow: document.documentElement.scrollWidth - innerWidth,
          background: getComputedStyle(document.body).backgroundColor,
        })`);
      await expect.poll(shown, { message: `${colorScheme}, ${width}` }).toEqual({ overflow: 0, background });
    }
    expect(faults).toEqual([]);
  });

  /** Waits for what a view shows once it has data. */
  async function filled(page: Page, view: string): Promise<void> {
    if (view === 'now') await page.getByRole('rowheader', { name: 'Board' }).waitFor();
    else if (view === 'policies') await page.getByRole('link', { name: 'Project.stats' }).waitFor();
    else if (view === 'invalidations') await page.locator('.stream li').first().waitFor();
    else if (view === 'health') await page.getByText('All is well.').waitFor();
    else if (view === 'explain') {
      await page.getByRole('button', { name: 'Run twice' }).click();
      await page.getByText('in the run before').first().waitFor();
      await page.getByRole('button', { name: 'Write and run again' }).click();
      await page.getByText(/tags invalidated/).waitFor();
    } else await page.getByText(/A change of it touches/).waitFor();
  }

  test('the theme that a person chooses wins over that of the system, and stays', async () => {
    const { page } = await open('now', { theme: 'light' });
    const background = () => page.evaluate('getComputedStyle(document.body).backgroundColor');
    await page.getByLabel('Theme').selectOption('dark');
    await expect.poll(background).toBe('rgb(14, 18, 22)');
    await page.reload();
    await expect.poll(background).toBe('rgb(14, 18, 22)');
  });

  test('every view and control is reached by keyboard, with a visible focus', async () => {
    const { page } = await open('now');
    const focused = () =>
      page.evaluate(`({
        text: document.activeElement.innerText ?? '',
        outline: getComputedStyle(document.activeElement).outlineStyle,
      })`) as Promise<{ text: string; outline: string }>;
    const reached: string[] = [];
    for (let i = 0; i < 10; i++) {
      await page.keyboard.press('Tab');
      const { text, outline } = await focused();
      reached.push(text.trim().split('\n')[0] as string);
      expect(outline).toBe('solid');
    }
    for (const name of ['Skip to content', 'Now', 'Policies', 'Invalidations', 'Explain', 'A row or tag', 'Health']) {
      expect(reached).toContain(name);
    }
    await page.getByRole('link', { name: 'Policies' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Policies', level: 1 }).waitFor();
    await page.getByRole('button', { name: 'Calls' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('columnheader', { name: 'Calls' }).and(page.locator('[aria-sort=ascending]')).waitFor();
  });

  test('a stream that reaches its rate limit goes on by itself when there are points again', async () => {
    const console = { bundle: consoleBundle, token };
    const rateLimit = { points: 12, seconds: 4 }; // a message and the subscription cost 5 each
    const limited = await liveApp({ databaseUrl: app.databaseUrl, app: { console, rateLimit } });
    try {
      const { page } = await open('health', { of: limited });
      const status = page.getByRole('status');
      for (let round = 0; round < 2; round++) {
        await status.getByText(/^Rate limit reached, trying again at \d\d:\d\d:\d\d$/).waitFor();
        await status.getByText(/^Live · /).waitFor();
      }
    } finally {
      await limited.close();
    }
  });

  test('a stream that the server ends begins again, and a message that failed is named until the next one', async () => {
    const { page } = await openPage(browser, app.origin);
    let fail: 'end' | 'refuse' | 'next' | undefined;
    let streams = 0;
    await page.routeWebSocket(/graphql/, (socket) => {
      const server = socket.connectToServer();
      socket.onMessage((text) => {
        if (String(text).includes('"subscribe"')) streams++;
        server.send(text);
      });
      server.onMessage((text) => {
        const { type, id } = JSON.parse(String(text));
        if (type !== 'next' || fail === undefined) return socket.send(text);
        const errors = [{ message: 'Too large.' }];
        if (fail === 'next') return socket.send(JSON.stringify({ type, id, payload: { errors } }));
        const last = fail === 'end' ? { type: 'complete', id } : { type: 'error', id, payload: errors };
        fail = undefined;
        socket.send(JSON.stringify(last));
      });
    });
    await page.goto(`${app.origin}/console#/health`);
    const status = page.getByRole('status');
    const live = status.getByText('Live · 2 processes');
    await live.waitFor();
    fail = 'next';
    await status.getByText('The last message failed · Too large.').waitFor();
    fail = undefined;
    await live.waitFor();
    expect(streams).toBe(1);
    for (const [how, shown] of [
      ['end', 'Stream ended, trying again'],
      ['refuse', 'Stream ended, trying again · Too large.'],
    ] as const) {
      fail = how;
      await status.getByText(shown, { exact: true }).waitFor();
      await live.waitFor();
    }
    expect(streams).toBe(3);
  });

  test('a page without a token shows nothing, refuses one without the scope, and opens with one that has it', async () => {
    const { page } = await open('now', { of: other });
    expect(await page.content()).not.toContain('eyJ');
    await page.getByLabel('Token').fill('not a token');
    await page.getByRole('button', { name: 'Open' }).click();
    await page
      .getByRole('alert')
      .getByText(/token is invalid/)
      .waitFor();
    await page.getByLabel('Token').fill(await app.tokenOf(f.ada.id));
    await page.getByRole('button', { name: 'Open' }).click();
    await page
      .getByRole('alert')
      .getByText(/cache:admin/)
      .waitFor();
    await page.getByLabel('Token').fill(token);
    await page.getByRole('button', { name: 'Open' }).click();
    await page.getByRole('rowheader', { name: 'Board' }).waitFor();
    await page.reload();
    await page.getByRole('rowheader', { name: 'Board' }).waitFor(); // kept in this tab
  });
});
