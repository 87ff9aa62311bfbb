/**
 * `node scripts/board-pictures.mjs [API] [BOARD]`: makes the pictures of examples/board in docs/images, of what
 * `npm start` and `npm run board` run. Needs Chromium (CHROMIUM_PATH), and pngquant where files are to be small.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const [api = 'http://127.0.0.1:4000', board = 'http://localhost:5173'] = process.argv.slice(2);
const folder = fileURLToPath(new URL('../docs/images', import.meta.url));
const WIDE = { width: 1280, height: 800 };
const NARROW = { width: 400, height: 800 };
const TASK = 'OPS-42';

const page = await (await fetch(`${api}/console`)).text();
const { endpoint, token } = JSON.parse(/type="application\/json">(.*?)<\/script>/.exec(page)[1]);

async function ask(query, variables) {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` };
  const body = JSON.stringify({ query, variables });
  return (await (await fetch(api + endpoint, { method: 'POST', headers, body })).json()).data;
}

async function open(browser, { path = '/OPS', colorScheme, viewport }) {
  const page = await browser.newPage({ colorScheme, viewport });
  await page.goto(`${board}/?token=${token}#${path}`);
  await page.locator('[data-connection=live]').waitFor();
  await page
    .locator(path === '/OPS' ? '.card:visible' : '.comments')
    .first()
    .waitFor();
  return page;
}

async function keep(page, name) {
  const path = join(folder, `board-${name}.png`);
  await page.screenshot({ path });
  spawnSync('pngquant', ['--force', '--skip-if-larger', '--output', path, path]); // smaller, where it is installed
  await page.close();
}

/** Two people give the same task another title. */
async function conflict(page) {
  const { task } = await ask(`{ task(identifier: "${TASK}") { id title } }`);
  const rename = 'mutation Rename($input: UpdateTaskInput!) { updateTask(input: $input) { task { title } } }';
  const panel = page.locator('.panel');
  await panel.getByRole('button', { name: 'Edit' }).click();
  await panel.getByLabel('Title').fill('Order new cables for the second rack');
  await ask(rename, { input: { id: task.id, title: 'Order new cables for both racks' } });
  await panel.getByText('This task has been changed meanwhile.').waitFor();
  await panel.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('dialog').waitFor();
  return () => ask(rename, { input: { id: task.id, title: task.title } });
}

const browser = await chromium.launch({
  args: ['--no-sandbox', '--disable-gpu'],
  executablePath: process.env.CHROMIUM_PATH ?? '/usr/bin/chromium',
});
try {
  await keep(await open(browser, { colorScheme: 'light', viewport: WIDE }), 'light');
  await keep(await open(browser, { colorScheme: 'dark', viewport: WIDE, path: `/OPS/${TASK}` }), 'dark');
  await keep(await open(browser, { colorScheme: 'light', viewport: NARROW }), 'light-400');
  await keep(await open(browser, { colorScheme: 'dark', viewport: NARROW, path: `/OPS/${TASK}` }), 'dark-400');
  const contested = await open(browser, { colorScheme: 'light', viewport: WIDE, path: `/OPS/${TASK}` });
  const undo = await conflict(contested);
  await keep(contested, 'conflict-light');
  await undo();
} finally {
  await browser.close();
}
