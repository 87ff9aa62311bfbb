/** A browser window with the board, as a person sees and uses it. */
import type { BrowserContextOptions, Locator, Page } from 'playwright-core';
import type { Stage, Viewer } from './stage.js';

/** How long a page may take on a machine whose processors others use, too; less than a test may take. */
const PAGE_MS = 90_000;
const OWN_HOSTS: ReadonlySet<string> = new Set(['localhost', '127.0.0.1']);

export interface Window {
  readonly page: Page;
  /** Exceptions, and what was requested from elsewhere. */
  readonly faults: readonly string[];
  /** A column by its name. */
  column(name: string): Locator;
  /** A card by its identifier, or one in a column. */
  card(identifier: string): Locator;
  panel(): Locator;
  close(): Promise<void>;
}

/** Signed in, at the board of OPS or at the path of another view, and live. */
export async function openWindow(
  { browser, url }: Pick<Stage, 'browser' | 'url'>,
  { token }: Viewer,
  options: BrowserContextOptions & { path?: string } = {},
): Promise<Window> {
  const { path = '/OPS', ...context } = options;
  const opened = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...context });
  opened.setDefaultTimeout(PAGE_MS);
  const page = await opened.newPage();
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('request', (request) => {
    if (!OWN_HOSTS.has(new URL(request.url()).hostname)) faults.push(request.url());
  });
  await page.goto(`${url}?token=${token}#${path}`);
  await page.locator('[data-connection=live]').waitFor();
  await page.locator('.card:visible').first().waitFor();
  return {
    page,
    faults,
    column: (name) => page.getByRole('region', { name }),
    card: (identifier) => page.locator(`.card[data-task="${identifier}"]:not([data-dnd-placeholder])`),
    panel: () => page.locator('.panel'),
    close: () => opened.close(),
  };
}
