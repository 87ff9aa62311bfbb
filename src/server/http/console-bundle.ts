/** Script and style of the console: written by `npm run build`, or in a checkout bundled from their source at start. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { ConsoleBundle } from './console-page.js';

const FOLDER = new URL('../console/', import.meta.url);
/** What the build writes into the folder of the compiled console. */
export const SCRIPT_FILE = 'console.js';
export const STYLE_FILE = 'console.css';

let bundled: Promise<ConsoleBundle> | undefined;

/** Makes it once; after a failure, again. */
export function consoleBundle(): Promise<ConsoleBundle> {
  bundled ??= readOrBundle();
  bundled.catch(() => {
    bundled = undefined;
  });
  return bundled;
}

async function readOrBundle(): Promise<ConsoleBundle> {
  return (await builtBundle()) ?? bundleConsole(fileURLToPath(new URL('main.tsx', FOLDER)));
}

async function builtBundle(): Promise<ConsoleBundle | undefined> {
  try {
    const [script, style] = await Promise.all(
      [SCRIPT_FILE, STYLE_FILE].map((name) => readFile(new URL(name, FOLDER), 'utf8')),
    );
    return { script: script as string, style: style as string };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * The bundler is a tool of development: an installation without it has what the build wrote. One call at a time, since
 * it ends the bundler's process.
 */
export async function bundleConsole(entry: string): Promise<ConsoleBundle> {
  const { build, stop } = await import('esbuild');
  const { outputFiles } = await build({
    entryPoints: [entry],
    outdir: '/',
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: ['es2022', 'chrome111', 'firefox113', 'safari16.4'],
    jsx: 'automatic',
    jsxImportSource: 'preact',
    tsconfigRaw: {},
    legalComments: 'none',
    logLevel: 'silent', // a fault is thrown
  });
  await stop(); // its process
  const textOf = (extension: string) => outputFiles.find(({ path }) => path.endsWith(extension))?.text ?? '';
  return { script: textOf('.js'), style: textOf('.css') };
}
