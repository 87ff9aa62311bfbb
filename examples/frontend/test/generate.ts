/** Before the tests: what `npx graphql-codegen` makes of the schema, as on any frontend's machine. Nothing of it is checked in. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const frontend = fileURLToPath(new URL('..', import.meta.url));
const codegen = fileURLToPath(new URL('../../../node_modules/@graphql-codegen/cli/esm/bin.js', import.meta.url));

export default async function generate(): Promise<void> {
  await promisify(execFile)(process.execPath, [codegen, '--config', 'codegen.ts'], { cwd: frontend });
}
