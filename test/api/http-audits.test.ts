/** The GraphQL-over-HTTP specification, as graphql-http audits it: all of its audits, MUST, SHOULD and MAY. */
import { auditServer } from 'graphql-http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newId } from '../../src/db/ids.js';
import { signToken } from '../../src/server/auth/tokens.js';
import { TOKENS } from '../support/app.js';
import { type LiveApp, liveApp } from '../support/live.js';

let app: LiveApp;
beforeAll(async () => {
  app = await liveApp();
});
afterAll(() => app?.close());

test('the server passes every audit of GraphQL over HTTP', async () => {
  // With a token, as every client of this API: it is also what lets a plain GET through.
  const authorization = `Bearer ${await signToken(TOKENS, newId('user'), '1h')}`;
  const fetchFn = (url: string, init: RequestInit = {}) =>
    fetch(url, { ...init, headers: { ...init.headers, authorization } });
  const results = await auditServer({ url: app.url, fetchFn });
  const failed = results.flatMap((result) =>
    result.status === 'ok' ? [] : [`${result.id} ${result.name}: ${result.reason}`],
  );
  expect(results).toHaveLength(61);
  expect(failed).toEqual([]);
});

test('the status of a refused request follows the media type that the client knows', async () => {
  const token = `Bearer ${await signToken(TOKENS, newId('user'), '1h')}`;
  const status = async (accept: string, body: object, authorization = token) => {
    const headers = { 'content-type': 'application/json', accept, ...(authorization && { authorization }) };
    const response = await fetch(app.url, { method: 'POST', headers, body: JSON.stringify(body) });
    const { errors } = (await response.json()) as { errors: { extensions: { code: string } }[] };
    return [response.status, errors[0]?.extensions.code];
  };
  const graphql = 'application/graphql-response+json, application/json;q=0.9';
  const invalid = { query: '{ nothing }' };
  expect(await status(graphql, invalid)).toEqual([400, 'GRAPHQL_VALIDATION_FAILED']);
  expect(await status('application/json', invalid)).toEqual([200, 'GRAPHQL_VALIDATION_FAILED']);
  expect(await status('*/*', invalid)).toEqual([200, 'GRAPHQL_VALIDATION_FAILED']);
  expect(await status('application/json', { query: '{ viewer { id } }' }, '')).toEqual([401, 'UNAUTHENTICATED']);
  expect(await status('application/json', { quarry: '{ viewer { id } }' })).toEqual([400, 'BAD_REQUEST']);
});

test('what a page of another site can make a browser send does nothing', async () => {
  const forged = 'mutation { createProject(input: { key: "XX", name: "X" }) { errors { code } } }';
  const simple = async (type: string, body: string) => {
    const headers = { 'content-type': type, origin: 'https://evil.example', cookie: 'session=1' };
    const response = await fetch(app.url, { method: 'POST', headers, body });
    return response.status;
  };
  expect(await simple('text/plain', JSON.stringify({ query: forged }))).toBe(400);
  expect(await simple('application/x-www-form-urlencoded', new URLSearchParams({ query: forged }).toString())).toBe(
    415,
  );
  expect(await simple('multipart/form-data; boundary=x', '--x--')).toBe(415);
  const get = await fetch(`${app.url}?${new URLSearchParams({ query: forged })}`);
  expect([get.status, get.headers.get('access-control-allow-origin')]).toEqual([400, null]);
});
