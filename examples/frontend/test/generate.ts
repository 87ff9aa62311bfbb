/** Before the tests: the first command of README.md, run where it says. What it writes is not checked in. */
import { exec } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const frontend = fileURLToPath(new URL('..', import.meta.url));

export default async function generate(): Promise<void> {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  const [, command = ''] = /^```sh\n([^#\n]+)/m.exec(readme) ?? [];
  if (!command.includes('graphql-codegen')) throw new Error('README.md: expected the command graphql-codegen first');
  await promisify(exec)(command, { cwd: frontend });
}
