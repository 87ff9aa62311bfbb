/**
 * `node scripts/console-pictures.mjs [ORIGIN]`: makes the pictures of the console in docs/images, of servers that
 * `npm start` runs, under a load of its own. Needs Chromium (CHROMIUM_PATH), and pngquant where files are to be small.
 */
import { spawnSync } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const origin = process.argv[2] ?? 'http://127.0.0.1:4000';
const folder = fileURLToPath(new URL('../docs/images', import.meta.url));
const LOAD_MS = 60_000;
const WIDE = { width: 1280 };
const NARROW = { width: 400, height: 800 };
/** Each view, with the height that shows all of it. */
const VIEWS = [
  ['now', 'now', 1140],
  ['policies', 'policies', 800],
  ['invalidations', 'invalidations', 800],
  ['lookup', 'lookup?text=OPS-42', 800],
  ['health', 'health', 800],
  ['explain', 'explain', 1400],
];
const PICTURES = VIEWS.flatMap(([name, view, height]) => [
  { name: `${name}-light`, view, theme: 'light', size: { ...WIDE, height } },
  { name: `${name}-dark`, view, theme: 'dark', size: { ...WIDE, height } },
  { name: `${name}-light-400`, view, theme: 'light', size: NARROW },
]);
/** Comes last, without load: its second run finds what the first one left. */
const isExplain = ({ view }) => view === 'explain';

const page = await (await fetch(`${origin}/console`)).text();
const { endpoint, token, document } = JSON.parse(/type="application\/json">(.*?)<\/script>/.exec(page)[1]);

async function ask(query, variables) {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` };
  const response = await fetch(origin + endpoint, {
    method: 'POST',
    headers,
    body: JSON.stringify({ query, variables }),
  });
  return (await response.json()).data;
}

const TASK = 'query Task($id: ID!) { task(id: $id) { title assignee { name } project { stats { total } } } }';
const WRITE = 'mutation SetPriority($input: UpdateTaskInput!) { updateTask(input: $input) { task { priority } } }';
const LIST = 'query Newest { tasks(first: 50) { nodes { id title } } }';
const PRIORITIES = ['LOW', 'HIGH', 'MEDIUM', 'URGENT'];

async function load(isOver) {
  const ids = (await ask(LIST)).tasks.nodes.map(({ id }) => id);
  const any = (from) => from[Math.floor(Math.random() * from.length)];
  while (!isOver()) {
    const kind = Math.random();
    if (kind < 0.4) await ask(document);
    else if (kind < 0.75) await ask(TASK, { id: any(ids) });
    else if (kind < 0.95) await ask(LIST);
    else await ask(WRITE, { input: { id: any(ids), priority: any(PRIORITIES) } });
    await sleep(40 * Math.random());
  }
}

async function open(browser, { view, theme, size }) {
  const context = await browser.newContext({ viewport: size, colorScheme: theme, reducedMotion: 'reduce' });
  const opened = await context.newPage();
  await opened.goto(`${origin}/console#/${view}`);
  return opened;
}

async function save(opened, { name }) {
  const path = join(folder, `console-${name}.png`);
  await opened.screenshot({ path });
  spawnSync('pngquant', ['--force', '--strip', '--speed', '1', '--nofs', '--output', path, '64', path]);
  await opened.context().close();
}

await mkdir(folder, { recursive: true });
const executablePath = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium';
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
let over = false;
const loads = [1, 2, 3].map(() => load(() => over));
const opened = [];
for (const picture of PICTURES.filter((one) => !isExplain(one))) opened.push([await open(browser, picture), picture]);
await sleep(LOAD_MS);
for (const [one, picture] of opened) await save(one, picture);
over = true;
await Promise.all(loads);
for (const picture of PICTURES.filter(isExplain)) {
  const explain = await open(browser, picture);
  for (const button of ['Run twice', 'Write and run again']) {
    await explain.getByRole('button', { name: button }).click();
    await sleep(3000);
  }
  await save(explain, picture);
}
await browser.close();
