/** What clients generate code from, and the table of cache policies: both are checked in, and both must say what the code does. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { GraphQLEnumType, GraphQLInputObjectType, GraphQLInterfaceType, GraphQLObjectType } from 'graphql';
import { expect, test } from 'vitest';
import { createSchema } from '../../src/app.js';
import { printApiSchema } from '../../src/graphql/schema.js';

const { schema, policies } = createSchema({} as never); // nothing is resolved here

test('schema.graphql is what the code makes: `npm run schema` writes it', () => {
  const checkedIn = readFileSync(new URL('../../schema.graphql', import.meta.url), 'utf8');
  expect(checkedIn).toBe(printApiSchema(schema));
});

test('the table of policies is what the code declares: `npx vitest run test/api/schema.test.ts -u` writes it', async () => {
  const rows = policies.map(
    ({ name, fields, ttlMs, scope, shape }) =>
      `| ${name} | ${ttlMs / 1000} s | ${scope} | ${shape} | ${fields.join(', ')} |`,
  );
  const table = ['| cached | ttl | scope | shape | fields |', '|---|--:|---|---|---|', ...rows, ''].join('\n');
  await expect(table).toMatchFileSnapshot('./cache-policies.md');
});

test('every source that a feature exports is in the table', async () => {
  const src = fileURLToPath(new URL('../../src/', import.meta.url));
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.loaders.ts'));
  const modules: object[] = await Promise.all(files.map((file) => import(src + file)));
  const isSource = (value: unknown): value is { name: string } =>
    typeof value === 'object' && value !== null && 'load' in value && 'tags' in value;
  const exported = modules.flatMap((module) => Object.values(module).filter(isSource));
  const listed = policies.map(({ name }) => name);
  expect(exported.length).toBeGreaterThan(10);
  expect(exported.map(({ name }) => name).filter((name) => !listed.includes(name))).toEqual([]);
});

test('every type, field, argument and enum value has a description', () => {
  const bare: string[] = [];
  const check = (name: string, { description }: { description?: string | null | undefined }) => {
    if (!description) bare.push(name);
  };
  for (const type of Object.values(schema.getTypeMap())) {
    if (type.name.startsWith('__')) continue;
    check(type.name, type);
    if (type instanceof GraphQLEnumType)
      for (const value of type.getValues()) check(`${type.name}.${value.name}`, value);
    if (type instanceof GraphQLInputObjectType) {
      for (const field of Object.values(type.getFields())) check(`${type.name}.${field.name}`, field);
    }
    if (type instanceof GraphQLObjectType || type instanceof GraphQLInterfaceType) {
      for (const field of Object.values(type.getFields())) {
        check(`${type.name}.${field.name}`, field);
        for (const argument of field.args) check(`${type.name}.${field.name}(${argument.name})`, argument);
      }
    }
  }
  expect(bare).toEqual([]);
});

test('what is deprecated names its replacement and the day it goes', () => {
  const reasons = [...printApiSchema(schema).matchAll(/@deprecated(?:\(reason: ("(?:[^"\\]|\\.)*")\))?/g)];
  for (const [, reason] of reasons) expect(reason).toMatch(/^"Use `\w.*` .*20\d\d-\d\d-\d\d/);
});
