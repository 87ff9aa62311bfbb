/** The explorers as a person meets them, in a browser: Sandbox where its script can be loaded, and what takes its place where not. */
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { EXAMPLE_QUERY } from '../../src/development/demo/example-query.js';
import { eventually } from '../support/app.js';
import { chromiumPath, coloursOf, launchChromium, needsChromium, openPage } from '../support/chromium.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { type LiveApp, liveApp } from '../support/live.js';

const DOCUMENT = 'query Example { tasks(first: 1) { nodes { identifier title } } }';
const NEWEST = 'Task 6';
const SANDBOX_SCRIPT = /^https:\/\/embeddable-sandbox\.cdn\.apollographql\.com\/.*\.js$/;
const STUDIO = 'https://studio.apollographql.com/sandbox/explorer';

let data: LiveApp;
let app: LiveApp;
let f: Fixture;
let token: string;

beforeAll(async () => {
  data = await liveApp();
  f = await fixture(data);
  token = await data.tokenOf(f.ada.id);
  app = await liveApp({ databaseUrl: data.databaseUrl, explorer: { token, document: DOCUMENT } });
});
afterAll(async () => {
  await app?.close();
  await data?.close();
});

test('a browser that opens the address of the API is led to the explorer, where there is one; clients are not', async () => {
  const get = (to: LiveApp, accept: string, url = '/graphql') =>
    to.server.inject({ method: 'GET', url, headers: { accept, authorization: `Bearer ${token}` } });
  const page = 'text/html,application/xhtml+xml,*/*;q=0.8';
  const { statusCode, headers } = await get(app, page);
  expect([statusCode, headers.location]).toEqual([302, '/']);
  const query = '/graphql?query={viewer{id}}';
  expect((await get(app, page, query)).statusCode).toBe(200);
  expect((await get(app, 'application/json')).statusCode).toBe(400);
  expect((await get(data, page)).statusCode).toBe(400);
});

describe('Sandbox at its own address', () => {
  const preflight = async (origin: string) => {
    const { statusCode, headers } = await app.server.inject({
      method: 'OPTIONS',
      url: '/graphql',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,content-type,x-apollo-operation-name,x-cache-trace',
        'access-control-request-private-network': 'true',
        'sec-fetch-mode': 'cors',
        'sec-fetch-site': 'cross-site',
      },
    });
    return { statusCode, headers };
  };

  test('may send what it sends to a server on this machine', async () => {
    const { statusCode, headers } = await preflight('https://studio.apollographql.com');
    expect(statusCode).toBe(204);
    expect(headers).toMatchObject({
      'access-control-allow-origin': 'https://studio.apollographql.com',
      'access-control-allow-methods': 'GET, POST',
      'access-control-allow-headers': 'authorization,content-type,x-apollo-operation-name,x-cache-trace',
      'access-control-allow-private-network': 'true',
      vary: expect.stringContaining('Origin'),
    });
    expect(headers['access-control-allow-credentials']).toBeUndefined();
  });

  test('may read the answer and the headers that tell of the cache', async () => {
    const headers = { origin: 'https://studio.apollographql.com', authorization: `Bearer ${token}` };
    const answer = await app.server.inject({ method: 'POST', url: '/graphql', headers, payload: { query: DOCUMENT } });
    expect(answer.headers).toMatchObject({
      'access-control-allow-origin': 'https://studio.apollographql.com',
      'access-control-expose-headers': expect.stringMatching(/server-timing/i),
    });
  });

  test('is the only one that may', async () => {
    const { headers } = await preflight('https://studio.apollographql.com.evil.example');
    expect(headers['access-control-allow-origin']).toBeUndefined();
    expect(headers['access-control-allow-private-network']).toBeUndefined();
  });
});

describe.skipIf(chromiumPath === undefined)(`in Chromium${needsChromium}`, () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchChromium();
  });
  afterEach(() => Promise.all(browser.contexts().map((context) => context.close())));
  afterAll(() => browser?.close());

  /** With nothing but the server: as on a machine without a network. */
  const open = (answers: Parameters<typeof openPage>[2] = []) => openPage(browser, app.origin, answers);

  test('the page that needs no network runs the example query, shows the answer and the schema, and asks nobody else', async () => {
    const { page, faults, outside } = await open();
    await page.goto(`${app.origin}/explorer`);
    await page.getByRole('button', { name: /execute query/i }).click();
    const answer = page.locator('.result-window');
    await answer.getByText(`"${NEWEST}"`).waitFor();
    expect(await answer.innerText()).toContain('"outcome"');
    await page.getByRole('button', { name: /show documentation/i }).click();
    await page.getByText('Root Types').waitFor();
    expect(await coloursOf(await page.screenshot(), browser)).toBeGreaterThan(100); // a blank page has one
    expect(faults).toEqual([]);
    expect(outside).toEqual([]);
  });

  test('every visit shows the example with its token, also the second and third time', async () => {
    const { page } = await open();
    const run = page.getByRole('button', { name: /execute query/i });
    const editor = page.locator('.graphiql-query-editor');
    const answered = async () => {
      await run.click();
      await page.locator('.result-window').getByText(`"${NEWEST}"`).waitFor();
    };
    for (let visit = 1; visit <= 3; visit++) {
      await page.goto(`${app.origin}/explorer`);
      await editor.getByText('identifier').waitFor();
      await answered();
      expect(await page.getByRole('tab').count()).toBe(1);
    }
  });

  test('tabs of an earlier visit stay beside the example, and run with the token of today', async () => {
    const { page } = await open();
    await page.goto(`${app.origin}/healthz`); // of the same origin: GraphiQL is not running yet
    await page.evaluate(`localStorage.setItem('graphiql:tabState', JSON.stringify({
      activeTabIndex: 0,
      tabs: [{ id: 'a', title: 'Mine', query: '{ viewer { handle } }', variables: null, headers: null, operationName: null, response: null }],
    }))`);
    await page.goto(`${app.origin}/explorer`);
    await page.locator('.graphiql-query-editor').getByText('identifier').waitFor();
    expect(await page.getByRole('tab').allInnerTexts()).toEqual(['Mine', 'Example']);
    await page.getByRole('button', { name: 'Mine' }).press('Enter');
    await page.locator('.graphiql-query-editor').getByText('handle').waitFor();
    const run = page.getByRole('button', { name: /execute query/i });
    const handle = page.locator('.result-window').getByText('"ada"');
    await eventually(async () => {
      await run.click(); // for an instant GraphiQL sends the name of the other tab's operation
      await handle.waitFor({ timeout: 2000 });
    });
  });

  test('the example has a name, and a hint that fits the editor', async () => {
    const live = await liveApp({ databaseUrl: data.databaseUrl, explorer: { token, document: EXAMPLE_QUERY } });
    try {
      const { page } = await openPage(browser, live.origin);
      await page.goto(`${live.origin}/explorer`);
      await page.getByRole('tab', { name: 'Board' }).waitFor();
      await page.locator('.graphiql-query-editor').getByText('SQL statements').waitFor();
      const scrolls = await page.evaluate(`(() => {
        const lines = [...document.querySelectorAll('.graphiql-query-editor .view-line > span')];
        const buttons = document.querySelector('.graphiql-toolbar').getBoundingClientRect().left;
        return lines.filter((line) => line.getBoundingClientRect().right > buttons).map((line) => line.innerText);
      })()`);
      expect(scrolls).toEqual([]);
    } finally {
      await live.close();
    }
  });

  test('/ without a network becomes the page that needs none', async () => {
    const { page, outside } = await open();
    await page.goto(app.origin);
    await page.waitForURL('**/explorer?*');
    await page.getByRole('button', { name: /execute query/i }).waitFor();
    expect(outside).toEqual([expect.stringMatching(SANDBOX_SCRIPT)]);
  });

  test('/ where the network swallows requests offers that page at once, and becomes it soon', async () => {
    const { page } = await open([{ url: SANDBOX_SCRIPT, answer: 'never' }]);
    await page.goto(app.origin, { waitUntil: 'commit' });
    await page.getByRole('link', { name: 'The explorer that needs no network' }).waitFor();
    await page.waitForURL('**/explorer', { waitUntil: 'commit' });
  });

  test('/ with a network hands Sandbox endpoint, query and token, and they are good', async () => {
    // Stands for Apollo's script: keeps what it is given, and asks as Sandbox does.
    const script = `window.EmbeddedSandbox = class { constructor(options) { window.given = options } };`;
    const { page, faults } = await open([
      { url: SANDBOX_SCRIPT, answer: { contentType: 'text/javascript', body: script } },
    ]);
    await page.goto(app.origin);
    const given = await page.evaluate('window.given');
    expect(given).toEqual({
      target: '#sandbox',
      initialEndpoint: app.url,
      initialSubscriptionEndpoint: app.url.replace('http', 'ws'),
      initialState: {
        document: DOCUMENT,
        headers: { authorization: `Bearer ${token}`, 'x-cache-trace': '1' },
        includeCookies: false,
        pollForSchemaUpdates: false,
      },
    });
    const asked = `fetch(given.initialEndpoint, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...given.initialState.headers },
      body: JSON.stringify({ query: given.initialState.document }),
    }).then((response) => response.json())`;
    expect(await page.evaluate(asked)).toMatchObject({ data: { tasks: { nodes: [{ title: NEWEST }] } } });
    expect(await page.locator('#sandbox').innerText()).toBe(''); // nothing above Sandbox
    expect(faults).toEqual([]);
  });

  test("a page at Apollo's address reads the answer, a page elsewhere does not", async () => {
    const elsewhere = 'https://evil.example/';
    const blank = { contentType: 'text/html', body: '<title>Studio</title>' };
    const ask = `fetch(${JSON.stringify(app.url)}, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: 'Bearer ${token}', 'x-cache-trace': '1' },
      body: ${JSON.stringify(JSON.stringify({ query: DOCUMENT }))},
    }).then((response) => response.json(), (error) => String(error))`;
    const { page } = await open([STUDIO, elsewhere].map((url) => ({ url, answer: blank })));
    await page.context().grantPermissions(['local-network-access']); // what a person is asked for once
    await page.goto(STUDIO);
    expect(await page.evaluate(ask)).toMatchObject({ data: { tasks: { nodes: [{ title: NEWEST }] } } });
    await page.goto(elsewhere);
    expect(await page.evaluate(ask)).toBe('TypeError: Failed to fetch');
  });
});
