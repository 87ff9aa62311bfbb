/** A headless Chromium, where this machine has one, whose pages reach nothing but the server under test. */
import { existsSync } from 'node:fs';
import { type Browser, chromium, type Page } from 'playwright-core';

const PLACES = [process.env.CHROMIUM_PATH, '/usr/bin/chromium', '/usr/bin/google-chrome'];
const ARGS = [
  '--no-sandbox', // as root, as in a container, there is no other way
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Undefined: tests that need one are skipped, and `needsChromium` in their name says why. */
export const chromiumPath = PLACES.find((path) => path !== undefined && existsSync(path));
export const needsChromium = chromiumPath === undefined ? ': skipped, none found; set CHROMIUM_PATH' : '';

export function launchChromium(): Promise<Browser> {
  return chromium.launch({ args: ARGS, ...(chromiumPath !== undefined && { executablePath: chromiumPath }) });
}

/** In place of a network: what an address answers, or that it never does. */
export interface StagedAnswer {
  readonly url: string | RegExp;
  readonly answer: { readonly contentType: string; readonly body: string } | 'never';
}

/** How long a page may take on a machine whose processors others use, too; less than a test may take. */
const PAGE_MS = 90_000;

export interface OpenedPage {
  readonly page: Page;
  /** Errors in the console and exceptions, as they come. */
  readonly faults: readonly string[];
  /** What was asked for in vain, beyond `origin` and what is staged. */
  readonly outside: readonly string[];
}

export async function openPage(
  browser: Browser,
  origin: string,
  staged: readonly StagedAnswer[] = [],
): Promise<OpenedPage> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  context.setDefaultTimeout(PAGE_MS);
  const outside: string[] = [];
  await context.route('**', async (route) => {
    const url = route.request().url();
    if (url.startsWith(origin)) return route.continue();
    outside.push(url);
    return route.abort('internetdisconnected');
  });
  for (const { url, answer } of staged) {
    await context.route(url, (route) => (answer === 'never' ? undefined : route.fulfill(answer)));
  }
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
  page.on('pageerror', (error) => faults.push(String(error)));
  return { page, faults, outside };
}

/** How many colours a screenshot has; decoded by the browser, which is at hand. */
export async function coloursOf(png: Buffer, browser: Browser): Promise<number> {
  const page = await browser.newPage();
  const counted = await page.evaluate(`(async () => {
    const image = new Image();
    image.src = 'data:image/png;base64,${png.toString('base64')}';
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height).getContext('2d');
    canvas.drawImage(image, 0, 0);
    return new Set(new Uint32Array(canvas.getImageData(0, 0, image.width, image.height).data.buffer)).size;
  })()`);
  await page.close();
  return Number(counted);
}
