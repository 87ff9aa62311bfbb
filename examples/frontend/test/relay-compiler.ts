/** Relay's compiler, run on a component's source and the API's schema as a frontend's build runs it. */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { apiDir } from '../api.js';

const CONFIG = {
  src: './src',
  schema: './schema.graphql',
  language: 'typescript',
  artifactDirectory: './artifacts',
  persistConfig: { file: './operations.json' },
  customScalarTypes: { Date: 'string', DateTime: 'string' },
};

/** The path of its binary for this platform. */
const compiler: string = createRequire(import.meta.url)('relay-compiler');

export interface Compiled {
  /** The text of each operation, by its name. */
  readonly operations: ReadonlyMap<string, string>;
  readonly artifacts: readonly string[];
}

/** @param source `graphql` tags; the file is named Tasks, as names in it must begin. @throws what the compiler said */
export async function compileWithRelay(source: string): Promise<Compiled> {
  const directory = await mkdtemp(join(tmpdir(), 'tasks-relay-'));
  const at = (name: string) => join(directory, name);
  try {
    await copyFile(join(apiDir, 'schema.graphql'), at('schema.graphql'));
    for (const folder of ['src', 'artifacts']) await mkdir(at(folder));
    await writeFile(at('relay.config.json'), JSON.stringify(CONFIG));
    await writeFile(at('operations.json'), '{}');
    await writeFile(at('src/Tasks.ts'), source);
    await promisify(execFile)(compiler, ['relay.config.json'], { cwd: directory });
    const texts: string[] = Object.values(JSON.parse(await readFile(at('operations.json'), 'utf8')));
    const operations = texts.map(
      (text) => [/(?:query|mutation|subscription) (\w+)/.exec(text)?.[1] ?? '', text] as const,
    );
    return { operations: new Map(operations), artifacts: await readdir(at('artifacts')) };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
