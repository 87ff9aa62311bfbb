/** The board as people use it: two of them in two windows, one in SQL, and a network that fails. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { chromiumPath, needsChromium, openStage, type Stage } from './stage.js';
import { openWindow, type Window } from './window.js';

const CHANGES = 20;
const SHOWN_PRIORITIES = ['LOW', 'MEDIUM', 'HIGH', 'URGENT'];

describe.skipIf(chromiumPath === undefined)(`the board in Chromium${needsChromium}`, () => {
  let stage: Stage;
  let ada: Window;
  let bob: Window;
  beforeAll(async () => {
    stage = await openStage();
    ada = await openWindow(stage, stage.ada);
    bob = await openWindow(stage, stage.bob);
  });
  afterAll(() => stage?.stop());
  afterEach(async ({ task }) => {
    stage.network.mend();
    for (const { page } of [ada, bob]) {
      await page.evaluate(() => location.replace('#/OPS'));
      if (task.result?.state === 'fail') await page.reload(); // no later test finds what it left
    }
    expect([...ada.faults, ...bob.faults]).toEqual([]);
  });

  const taken = new Set<string>();
  /** Identifier of a task that no other test uses. */
  async function taskIn(status: string): Promise<string> {
    const tasks = await stage.sql<{ identifier: string }[]>`
      select key || '-' || number as identifier from tasks join projects on projects.id = project_id
      where key = 'OPS' and status = ${status} order by tasks.created_at desc`;
    const identifier = tasks.map((task) => task.identifier).find((one) => !taken.has(one)) as string;
    taken.add(identifier);
    return identifier;
  }

  /** As psql would write it: neither the API nor the task's version takes part. */
  async function rename(identifier: string, title: string): Promise<void> {
    await stage.sql`
      update tasks set title = ${title} from projects
      where projects.id = project_id and key || '-' || number = ${identifier}`;
  }

  async function open(window: Window, identifier: string): Promise<void> {
    await window.card(identifier).click();
    await window.panel().getByRole('heading', { level: 2 }).waitFor();
  }

  /** Opens the form, and writes another title into it without saving. */
  async function beginToRename(window: Window, identifier: string, title: string): Promise<void> {
    await open(window, identifier);
    await window.panel().getByRole('button', { name: 'Edit' }).click();
    await window.panel().getByLabel('Title').fill(title);
  }

  const save = (window: Window) => window.panel().getByRole('button', { name: 'Save' }).click();
  const titled = (window: Window, identifier: string, title: string) =>
    window.card(identifier).getByText(title, { exact: true }).waitFor();

  test('what one window does shows in the other, and what SQL does in both', async () => {
    const identifier = await taskIn('TODO');
    await open(bob, identifier);
    const byWindow = await timed(async (i) => {
      const priority = SHOWN_PRIORITIES[i % SHOWN_PRIORITIES.length] as string;
      await bob.panel().getByLabel('Priority').selectOption(priority);
      await ada.card(identifier).locator(`[data-priority=${priority}]`).waitFor();
    });
    const bySql = await timed(async (i) => {
      await rename(identifier, `Written by SQL: ${i}`);
      await titled(ada, identifier, `Written by SQL: ${i}`);
    });
    await bob
      .panel()
      .getByRole('heading', { name: `Written by SQL: ${CHANGES - 1}`, exact: true })
      .waitFor();
    console.log(`median of ${CHANGES} changes: ${byWindow} ms from window to window, ${bySql} ms from SQL to a window`);
    expect(byWindow).toBeLessThan(2_000);
    expect(bySql).toBeLessThan(4_000);
  });

  test('a card is moved by the keyboard, the focus goes with it, and the other window shows it', async () => {
    const identifier = await taskIn('TODO');
    const { page } = ada;
    await ada.card(identifier).focus();
    await page.keyboard.press('Space');
    await ada.column('To do').and(page.locator('[data-over=true]')).waitFor();
    await page.keyboard.press('ArrowRight');
    await ada.column('In progress').and(page.locator('[data-over=true]')).waitFor();
    await page.keyboard.press('Space');
    await bob.column('In progress').locator(bob.card(identifier)).waitFor();
    await ada.column('In progress').locator(ada.card(identifier)).waitFor();
    await expect.poll(() => focused(ada)).toBe(identifier);
    await expect
      .poll(() => page.locator('[aria-live]').allTextContents())
      .toContain(`${identifier} is in In progress.`);
  });

  test('Escape leaves a lifted card where it is, and Enter opens it', async () => {
    const identifier = await taskIn('TODO');
    const { page } = ada;
    await ada.card(identifier).focus();
    await page.keyboard.press('Space');
    await page.keyboard.press('ArrowRight');
    await ada.column('In progress').and(page.locator('[data-over=true]')).waitFor();
    await page.keyboard.press('Escape');
    await ada.column('To do').locator(ada.card(identifier)).waitFor();
    await page.keyboard.press('Enter');
    await ada.panel().getByRole('heading', { level: 2 }).waitFor();
    await page.keyboard.press('Escape');
    await ada.panel().waitFor({ state: 'detached' });
    await expect.poll(() => focused(ada)).toBe(identifier);
  });

  test('a card is moved by the mouse while its column changes', async () => {
    const identifier = await taskIn('TODO');
    const other = await taskIn('TODO');
    await dragToward(ada, identifier, 'In review');
    await rename(other, 'Renamed during a drag');
    await titled(ada, other, 'Renamed during a drag');
    await ada.page.mouse.up();
    await ada.column('In review').locator(ada.card(identifier)).waitFor();
    await bob.column('In review').locator(bob.card(identifier)).waitFor();
  });

  test('filters are answered by the server: a task that no longer matches leaves by itself', async () => {
    const identifier = await taskIn('BACKLOG');
    await rename(identifier, 'Sharpen the pencils');
    await ada.page.getByLabel('Title contains').fill('pencils');
    await expect.poll(() => ada.page.locator('.card').count()).toBe(1);
    await titled(ada, identifier, 'Sharpen the pencils');
    await ada.page.getByLabel('Assignee').selectOption('Ada Lovelace');
    await ada.page.getByLabel('Label').selectOption('bug');
    await ada.page.getByLabel('Assignee').selectOption('All assignees');
    await ada.page.getByLabel('Label').selectOption('All labels');
    await titled(ada, identifier, 'Sharpen the pencils');
    await rename(identifier, 'Sharpen the knives');
    await expect.poll(() => ada.page.locator('.card').count()).toBe(0);
    await ada.page.getByLabel('Title contains').fill('');
    await titled(ada, identifier, 'Sharpen the knives');
  });

  test('a comment shows at once where it was written, then in the other window, and once', async () => {
    const identifier = await taskIn('TODO');
    await open(ada, identifier);
    await open(bob, identifier);
    await ada.panel().getByLabel('Comment').fill('Looks good to me');
    await ada.panel().getByRole('button', { name: 'Comment' }).click();
    for (const { page, panel } of [ada, bob]) {
      const comment = panel().locator('.comments li').filter({ hasText: 'Looks good to me' });
      await comment.filter({ hasText: 'Ada Lovelace' }).waitFor();
      await page.getByText('sending…').waitFor({ state: 'detached' });
      expect(await comment.count()).toBe(1);
    }
  });

  test('a conflict is offered: theirs is kept', async () => {
    const identifier = await taskIn('TODO');
    await beginToRename(ada, identifier, 'Mine');
    await beginToRename(bob, identifier, 'Theirs');
    await save(bob);
    await ada.panel().getByText('This task has been changed meanwhile.').waitFor();
    await save(ada);
    const dialog = ada.page.getByRole('dialog');
    await dialog.waitFor();
    expect(await dialog.getByRole('row').allTextContents()).toEqual(['TheirsMine', 'TitleTheirsMine']);
    await dialog.getByRole('button', { name: 'Keep theirs' }).click();
    await dialog.waitFor({ state: 'detached' });
    await titled(ada, identifier, 'Theirs');
    expect(await titleInDatabase(identifier)).toBe('Theirs');
  });

  test('a conflict is offered: mine is used, and the other window shows it', async () => {
    const identifier = await taskIn('TODO');
    await beginToRename(ada, identifier, 'Mine');
    await beginToRename(bob, identifier, 'Theirs');
    await save(bob);
    await titled(ada, identifier, 'Theirs');
    await save(ada);
    await ada.page.getByRole('dialog').getByRole('button', { name: 'Use mine' }).click();
    await titled(ada, identifier, 'Mine');
    await titled(bob, identifier, 'Mine');
  });

  test('changes of different fields are both kept, without a question', async () => {
    const identifier = await taskIn('TODO');
    await beginToRename(ada, identifier, 'A title of mine');
    await open(bob, identifier);
    await bob.panel().getByLabel('Status').selectOption('In review');
    await ada.panel().getByText('This task has been changed meanwhile.').waitFor();
    await save(ada);
    for (const window of [ada, bob]) {
      await window.column('In review').locator(window.card(identifier)).getByText('A title of mine').waitFor();
    }
    expect(await ada.page.getByRole('dialog').count()).toBe(0);
  });

  test('a second change of a task shows at once, and waits for the first: the two are no conflict', async () => {
    const identifier = await taskIn('TODO');
    await open(ada, identifier);
    const priority = (await ada.panel().getByLabel('Priority').inputValue()) === 'LOW' ? 'High' : 'Low';
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    let requests = 0;
    await ada.page.route('**/graphql', async (route) => {
      requests++;
      await released;
      await route.continue();
    });
    await ada.panel().getByLabel('Status').selectOption('In review');
    await ada.panel().getByLabel('Priority').selectOption(priority);
    await ada.column('In review').locator(ada.card(identifier)).getByText(priority).waitFor();
    expect(requests).toBe(1);
    release();
    await bob.column('In review').locator(bob.card(identifier)).getByText(priority).waitFor();
    expect(requests).toBe(2);
    expect(await ada.page.getByRole('dialog').count()).toBe(0);
    await ada.page.unroute('**/graphql');
  });

  async function titleInDatabase(identifier: string): Promise<unknown> {
    const [task] = await stage.sql`
      select title from tasks join projects on projects.id = project_id
      where key || '-' || number = ${identifier}`;
    return task?.['title'];
  }

  test('without the network a change is taken back; with it again the board is right', async () => {
    const identifier = await taskIn('TODO');
    const other = await taskIn('TODO');
    await open(ada, identifier);
    stage.network.cut();
    await ada.page.locator('[data-connection=lost]').waitFor();
    await rename(other, 'Renamed without the network');
    await ada.panel().getByLabel('Status').selectOption('In review');
    const fault = ada.page.getByRole('alert').filter({ hasText: `${identifier} was not changed` });
    await fault.waitFor();
    await ada.column('To do').locator(ada.card(identifier)).waitFor();
    stage.network.mend();
    for (const window of [ada, bob]) {
      await window.page.locator('[data-connection=live]').waitFor();
      await titled(window, other, 'Renamed without the network');
    }
    await fault.getByRole('button', { name: 'Try again' }).click();
    await bob.column('In review').locator(bob.card(identifier)).waitFor();
    expect(await fault.count()).toBe(0);
  });

  test('a connection that is dead without an end is noticed, and the board is right again', async () => {
    const identifier = await taskIn('TODO');
    stage.network.freeze();
    await rename(identifier, 'Renamed past a dead connection');
    await titled(ada, identifier, 'Renamed past a dead connection');
  });

  test('who leaves the project is no longer on it, and no longer sees it', async () => {
    const { handle } = stage.bob;
    const member = await stage.sql`
      delete from project_members using users, projects
      where users.id = user_id and projects.id = project_id and key = 'OPS' and handle = ${handle}
      returning project_members.*`;
    await bob.page.getByText('There is no project OPS, or you are not on it.').waitFor();
    await ada.page.getByLabel('7 members').waitFor();
    await stage.sql`insert into project_members ${stage.sql(member as never)}`;
    await ada.page.getByLabel('8 members').waitFor();
    await bob.page.locator('.card').first().waitFor();
  });

  test('at 400 pixels nothing scrolls sideways, and a card is moved onto the tab of another column', async () => {
    const small = await openWindow(stage, stage.ada, { viewport: { width: 400, height: 800 } });
    const identifier = await taskIn('TODO');
    expect(await overflow(small)).toBe(0);
    await small.card(identifier).focus();
    await small.page.keyboard.press('Space');
    await small.column('To do').and(small.page.locator('[data-over=true]')).waitFor({ state: 'attached' });
    await small.page.keyboard.press('ArrowRight');
    await small.column('In progress').and(small.page.locator('[data-over=true]')).waitFor({ state: 'attached' });
    await small.page.keyboard.press('Space');
    await small.card(identifier).waitFor(); // its column is shown
    await bob.column('In progress').locator(bob.card(identifier)).waitFor();
    await open(small, identifier);
    expect(await overflow(small)).toBe(0);
    await small.panel().getByRole('button', { name: 'Edit' }).click();
    expect(await overflow(small)).toBe(0);
    expect(small.faults).toEqual([]);
    await small.close();
  });

  test('in the dark the page is dark, and its text light', async () => {
    const dark = await openWindow(stage, stage.ada, { colorScheme: 'dark' });
    const brightness = () =>
      dark.page.evaluate(() => {
        const { backgroundColor, color } = getComputedStyle(document.body);
        return [backgroundColor, color].map((text) => Math.max(...(text.match(/\d+/g) ?? []).slice(0, 3).map(Number)));
      });
    const [page, text] = await brightness();
    expect(page).toBeLessThan(60);
    expect(text).toBeGreaterThan(200);
    await dark.page.emulateMedia({ colorScheme: 'light' });
    const [lightPage, lightText] = await brightness();
    expect(lightPage).toBeGreaterThan(200);
    expect(lightText).toBeLessThan(60);
    await dark.close();
  });

  test('a token that is not accepted leads back to the form, which takes another', async () => {
    const context = await stage.browser.newContext();
    const page = await context.newPage();
    await page.goto(`${stage.url}?token=no-token`);
    await page.getByText('The API does not accept this token').waitFor();
    expect(page.url()).not.toContain('no-token');
    await page.getByLabel('Token').fill(stage.ada.token);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.locator('.card').first().waitFor();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('Token').waitFor();
    await context.close();
  });
});

/** @returns the median duration in ms */
async function timed(change: (i: number) => Promise<void>): Promise<number> {
  const durations: number[] = [];
  for (let i = 0; i < CHANGES; i++) {
    const startedMs = performance.now();
    await change(i);
    durations.push(performance.now() - startedMs);
  }
  return Math.round(durations.sort((a, b) => a - b)[CHANGES / 2] as number);
}

async function dragToward({ page, card, column }: Window, identifier: string, name: string): Promise<void> {
  await card(identifier).hover();
  await page.mouse.down();
  const { x = 0, y = 0, width = 0 } = (await column(name).boundingBox()) ?? {};
  await page.mouse.move(x + width / 2, Math.max(y, 0) + 60, { steps: 10 });
  await column(name).and(page.locator('[data-over=true]')).waitFor();
}

/** The card that has the focus. */
function focused({ page }: Window): Promise<string | null | undefined> {
  return page.evaluate(() => document.activeElement?.getAttribute('data-task'));
}

/** By how many pixels the page is wider than its window. */
function overflow({ page }: Window): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
}
