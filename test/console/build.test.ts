/** The console in a build, which has neither its source nor the bundler. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import type { consoleBundle } from '../../src/server/http/console-bundle.js';
import { built } from '../support/built.js';

test('a build serves the script and the style that it wrote', async () => {
  const folder = join(await built(), 'dist', 'server');
  const [script, style] = await Promise.all(
    ['console.js', 'console.css'].map((name) => readFile(join(folder, 'console', name), 'utf8')),
  );
  expect(script).toContain('Answered without Postgres');
  expect(style).toContain('color-scheme');
  const compiled = await import(pathToFileURL(join(folder, 'http', 'console-bundle.js')).href);
  const read = (compiled as { consoleBundle: typeof consoleBundle }).consoleBundle;
  expect(await read()).toEqual({ script, style });
});
