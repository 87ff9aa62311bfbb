/** What codegen makes of the schema: it compiles strictly, and its manifest of operations is what the server runs. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import manifest from '../src/gql/persisted-documents.json' with { type: 'json' };
import { connection, taskOf, world } from './support.js';

const w = world();
const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));

test('frontend and generated code compile, strictly', async () => {
  const args = [at('../node_modules/typescript/bin/tsc'), '--noEmit', '--project', at('../tsconfig.json')];
  const compiled = await promisify(execFile)(process.execPath, args).catch((error: { stdout: string }) => error);
  expect(compiled.stdout).toBe('');
});

test('every operation is in the manifest under its hash, and from its second use on the hash is enough', async () => {
  const { options } = connection(w);
  const post = async (body: object) => {
    const headers = { authorization: `Bearer ${options.token}`, 'content-type': 'application/json' };
    const response = await fetch(options.url, { method: 'POST', headers, body: JSON.stringify(body) });
    return (await response.json()) as { data?: unknown; errors?: unknown };
  };
  const variables = { project: w.project.id, id: taskOf(w, 1).id };
  const names = Object.values(manifest).map((text) => /(?:query|mutation|subscription) (\w+)/.exec(text)?.[1]);
  expect(names).toEqual(expect.arrayContaining(['TaskList', 'ObjectById', 'CreateTask', 'UpdateTask', 'DeleteTask']));
  for (const [id, query] of Object.entries(manifest)) {
    const sha256Hash = createHash('sha256').update(query).digest('hex');
    expect(id).toBe(`sha256:${sha256Hash}`);
    if (!query.includes('query ')) continue; // a mutation would change something
    const extensions = { persistedQuery: { version: 1, sha256Hash } };
    expect(await post({ variables, extensions })).toMatchObject({
      errors: [{ extensions: { code: 'PERSISTED_QUERY_NOT_FOUND' } }],
    });
    const inFull = await post({ query, variables, extensions });
    expect(inFull).toEqual({ data: expect.anything() });
    expect(await post({ variables, extensions })).toEqual(inFull);
  }
});
