/** Before the tests: what README.md says to run before anything else. What it writes is not checked in. */
import { exec } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export default async function generate(): Promise<void> {
  await promisify(exec)('npm run generate', { cwd: fileURLToPath(new URL('..', import.meta.url)) });
}
