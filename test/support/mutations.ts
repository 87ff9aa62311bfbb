/** Mutations by name, on one of two processes that share a database and a Redis group; what they made old is read from the other. */
import { expect } from 'vitest';
import type { UserId } from '../../src/db/ids.js';
import { dataOf, type TestApp, type TestAppOptions, testApp } from './app.js';
import { type Fixture, fixture } from './fixture.js';

export interface TwoProcesses {
  readonly here: TestApp;
  readonly there: TestApp;
  readonly f: Fixture;
  /** The payload of a mutation, asked of `here`, as ada unless said. */
  mutate(name: string, input: Record<string, unknown>, options?: MutateOptions): Promise<Payload>;
  /** The data of a query, asked of `there`, as ada unless said. */
  read(query: string, variables?: Record<string, unknown>, as?: UserId): Promise<Payload>;
  close(): Promise<void>;
}

export interface MutateOptions {
  readonly as?: UserId;
  readonly on?: TestApp;
}

// Of any shape; what tests expect of it is asserted.
// biome-ignore lint/suspicious/noExplicitAny: see above
type Payload = any;

const ERRORS = 'errors { __typename code message path ... on ConflictError { task { id version } } }';

export function mutationDocument(name: string, selection: string): string {
  const type = `${name[0]?.toUpperCase()}${name.slice(1)}Input`;
  return `mutation($input: ${type}!) { ${name}(input: $input) { ${selection} } }`;
}

/** `fields`: what to select of each mutation's payload, besides its errors. `options`: of the process `here`. */
export async function twoProcesses(
  fields: Record<string, string>,
  options: TestAppOptions = {},
): Promise<TwoProcesses> {
  const here = await testApp(options);
  const there = await testApp({ databaseUrl: here.databaseUrl, group: here.group });
  const f = await fixture(here);
  return {
    here,
    there,
    f,
    async mutate(name, input, { as = f.ada.id, on = here } = {}) {
      const document = mutationDocument(name, `${fields[name]} ${ERRORS}`);
      return dataOf(await on.ask(document, { as, variables: { input } }))[name];
    },
    read: async (query, variables = {}, as = f.ada.id) => dataOf(await there.ask(query, { as, variables })),
    async close() {
      await there.close();
      await here.close();
    },
  };
}

/** The one error of a payload. */
export function expectRefusal(payload: Payload, typename: string, ...path: string[]): void {
  expect(payload.errors).toMatchObject([{ __typename: typename, path: ['input', ...path] }]);
}
