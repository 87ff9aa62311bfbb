/** Which tokens count: every check of the verifier, and how keys are fetched from a key server that counts its requests. */
import { createHmac } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, exportJWK, exportSPKI, generateKeyPair, type JWK, SignJWT } from 'jose';
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { newId } from '../../src/db/ids.js';
import { tokenVerifier } from '../../src/server/auth/tokens.js';

const SECRET = 'only-for-tests-only-for-tests-only';
const CHECKS = { issuer: 'https://id.example/', audience: 'tasks-api' };
const now = () => Math.floor(Date.now() / 1000);
const claims = (change: Record<string, unknown> = {}) => ({
  sub: newId('user'),
  iss: CHECKS.issuer,
  aud: CHECKS.audience,
  exp: now() + 3600,
  ...change,
});
const bytes = (text: string) => new TextEncoder().encode(text);
const base64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const REFUSED = { extensions: { code: 'UNAUTHENTICATED', http: { status: 401 } } };
const UNAVAILABLE = { extensions: { code: 'AUTHENTICATION_UNAVAILABLE', http: { status: 503 } } };

describe('with a secret', () => {
  const verify = tokenVerifier({ ...CHECKS, tokens: { kind: 'secret', secret: SECRET } });
  const sign = (payload: Record<string, unknown>, alg = 'HS256', secret = SECRET) =>
    new SignJWT(payload).setProtectedHeader({ alg }).sign(bytes(secret));

  test('a good token says who, what for, and until when', async () => {
    const payload = claims({ scope: 'cache:trace metrics:read', preferred_username: 'ada', name: 'Ada L.' });
    expect(await verify(await sign(payload))).toEqual({
      subject: payload.sub,
      scopes: ['cache:trace', 'metrics:read'],
      expiresAtMs: payload.exp * 1000,
      profile: { handle: 'ada', name: 'Ada L.' },
    });
  });

  test('claims of another type than expected are as if absent', async () => {
    const token = await sign(claims({ scope: ['cache:admin'], preferred_username: 7, name: {} }));
    expect(await verify(token)).toMatchObject({ scopes: [], profile: { handle: undefined, name: undefined } });
  });

  test.each([
    ['ada@example.com', true, 'ada@example.com'],
    ['ada@example.com', 'true', undefined],
    ['ada@example.com', false, undefined],
    ['ada@example.com', undefined, undefined],
    [7, true, undefined],
  ])('the address %j with email_verified %j gives the profile %j', async (email, email_verified, expected) => {
    const token = await sign(claims({ email, email_verified }));
    expect((await verify(token)).profile.email).toBe(expected);
  });

  test.each([
    ['signed with another secret', () => sign(claims(), 'HS256', 'x'.repeat(34))],
    ['of another algorithm', () => sign(claims(), 'HS512', SECRET.repeat(2))],
    ['of another issuer', () => sign(claims({ iss: 'https://other.example/' }))],
    ['without an issuer', () => sign(claims({ iss: undefined }))],
    ['for another audience', () => sign(claims({ aud: ['someone', 'else'] }))],
    ['without an audience', () => sign(claims({ aud: undefined }))],
    ['that has expired', () => sign(claims({ exp: now() - 60 }))],
    ['that never expires', () => sign(claims({ exp: undefined }))],
    ['that is not valid yet', () => sign(claims({ nbf: now() + 60 }))],
    ['without a subject', () => sign(claims({ sub: undefined }))],
    ['with a number for a subject', () => sign(claims({ sub: 7 }))],
    ['that is not signed: alg none', async () => `${base64({ alg: 'none' })}.${base64(claims())}.`],
    [
      'whose payload was changed',
      async () => {
        const [head, , signature] = (await sign(claims())).split('.');
        return `${head}.${base64(claims({ scope: 'cache:admin' }))}.${signature}`;
      },
    ],
    [
      'whose header was changed',
      async () => {
        const [, payload, signature] = (await sign(claims())).split('.');
        return `${base64({ alg: 'HS256', typ: 'x' })}.${payload}.${signature}`;
      },
    ],
    [
      'that demands what we do not know',
      async () => {
        const head = base64({ alg: 'HS256', crit: ['unknown'], unknown: true });
        const text = `${head}.${base64(claims())}`;
        return `${text}.${createHmac('sha256', SECRET).update(text).digest('base64url')}`;
      },
    ],
    ['that is none', async () => 'nonsense'],
    ['that is empty', async () => ''],
  ])('a token %s is refused', async (_, make) => {
    await expect(verify(await make())).rejects.toMatchObject(REFUSED);
  });

  test('while secrets are exchanged, tokens of the previous ones are good, too, if nothing else is wrong with them', async () => {
    const [newest, older, oldest] = ['n', 'o', 'p'].map((letter) => letter.repeat(32)) as [string, string, string];
    const exchanging = tokenVerifier({
      ...CHECKS,
      tokens: { kind: 'secret', secret: newest, previous: [older, oldest] },
    });
    for (const secret of [newest, older, oldest]) {
      const payload = claims();
      expect(await exchanging(await sign(payload, 'HS256', secret))).toMatchObject({ subject: payload.sub });
      await expect(exchanging(await sign(claims({ aud: 'other' }), 'HS256', secret))).rejects.toMatchObject(REFUSED);
    }
    await expect(exchanging(await sign(claims()))).rejects.toMatchObject(REFUSED);
  });

  test('a token that was good is refused from the second on in which it ends, like any other', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    try {
      const text = await sign(claims({ exp: now() + 60 }));
      await verify(text);
      vi.setSystemTime((now() + 64) * 1000);
      await expect(verify(text)).resolves.toBeDefined();
      vi.setSystemTime((now() + 1) * 1000);
      await expect(verify(text)).rejects.toMatchObject(REFUSED);
    } finally {
      vi.useRealTimers();
    }
  });

  test('a few seconds between two clocks are no reason to refuse', async () => {
    await expect(verify(await sign(claims({ exp: now() - 2, nbf: now() + 2 })))).resolves.toBeDefined();
  });

  test('algorithms can be chosen, but only of this kind', async () => {
    const options = { ...CHECKS, tokens: { kind: 'secret', secret: SECRET.repeat(2) } as const };
    const chosen = tokenVerifier({ ...options, algorithms: ['HS512'] });
    await expect(chosen(await sign(claims(), 'HS512', SECRET.repeat(2)))).resolves.toBeDefined();
    await expect(chosen(await sign(claims(), 'HS256', SECRET.repeat(2)))).rejects.toMatchObject(REFUSED);
    for (const algorithm of ['none', 'RS256']) {
      expect(() => tokenVerifier({ ...options, algorithms: [algorithm] })).toThrow(TypeError);
    }
  });
});

describe('with a key server', () => {
  interface Pair {
    readonly kid: string;
    readonly alg: string;
    readonly privateKey: CryptoKey;
    readonly publicKey: CryptoKey;
    readonly jwk: JWK;
  }
  let first: Pair;
  let second: Pair;
  let server: Server;
  let url: string;
  /** What the key server does; it counts how often it was asked. */
  let published: Pair[];
  let answer: 'keys' | 'nothing' | 'error' | 'nonsense' | 'no keys' | 'redirect';
  let requests: number;

  async function pair(kid: string, alg = 'RS256'): Promise<Pair> {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
    return { kid, alg, privateKey, publicKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
  }

  beforeAll(async () => {
    [first, second] = await Promise.all([pair('first'), pair('second', 'ES256')]);
  });
  beforeEach(async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    published = [first];
    answer = 'keys';
    requests = 0;
    server = createServer((_, response) => {
      requests++;
      if (answer === 'nothing') return undefined;
      if (answer === 'error') return response.writeHead(500).end();
      if (answer === 'nonsense') return response.end('<html>');
      if (answer === 'no keys') return response.end('{"keys": [1]}');
      if (answer === 'redirect') return response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end();
      return response.end(JSON.stringify({ keys: published.map(({ jwk }) => jwk) }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`;
  });
  afterEach(async () => {
    vi.useRealTimers();
    await close();
  });

  const close = () =>
    new Promise<void>((resolve) => {
      server.closeAllConnections();
      server.close(() => resolve());
    });
  const later = (ms: number) => vi.setSystemTime(Date.now() + ms);
  const verifier = (algorithms?: string[]) => tokenVerifier({ ...CHECKS, tokens: { kind: 'jwks', url }, algorithms });
  const signed = ({ alg, kid, privateKey }: Pair, header: { kid?: string } = { kid }) =>
    new SignJWT(claims()).setProtectedHeader({ alg, ...header }).sign(privateKey);

  test('keys are fetched once for many tokens', async () => {
    const verify = verifier();
    const tokens = await Promise.all(Array.from({ length: 20 }, () => signed(first)));
    await Promise.all(tokens.map(verify));
    await verify(await signed(first));
    expect(requests).toBe(1);
  });

  test('a new key is fetched when a token names it, and the old one goes on as long as it is published', async () => {
    const verify = verifier();
    await verify(await signed(first));
    published = [first, second];
    later(31_000);
    await verify(await signed(second));
    await verify(await signed(first));
    expect(requests).toBe(2);
  });

  test('tokens that name no key do not make us ask the key server again and again', async () => {
    const verify = verifier();
    await verify(await signed(first));
    for (let i = 0; i < 100; i++) {
      await expect(verify(await signed(first, { kid: `unknown-${i}` }))).rejects.toMatchObject(REFUSED);
    }
    expect(requests).toBe(1);
    later(31_000);
    await Promise.all(
      Array.from({ length: 100 }, async (_, i) =>
        expect(verify(await signed(first, { kid: `unknown-${i}` }))).rejects.toMatchObject(REFUSED),
      ),
    );
    expect(requests).toBe(2);
  });

  test('a known key verifies while the key server is away, and an unknown one is not called bad', async () => {
    const verify = verifier();
    await verify(await signed(first));
    await close();
    later(20 * 60_000);
    for (let i = 0; i < 3; i++) await verify(await signed(first));
    await expect(verify(await signed(second))).rejects.toMatchObject(UNAVAILABLE);
    later(25 * 60 * 60_000);
    await expect(verify(await signed(first))).rejects.toMatchObject(UNAVAILABLE); // not trusted for ever
  });

  test.each(['error', 'nonsense', 'no keys', 'redirect'] as const)(
    'a key server that answers with %s is left alone for a while, and asked again after it',
    async (fault) => {
      const verify = verifier();
      answer = fault;
      for (let i = 0; i < 20; i++) await expect(verify(await signed(first))).rejects.toMatchObject(UNAVAILABLE);
      expect(requests).toBe(1);
      answer = 'keys';
      later(6_000);
      await verify(await signed(first));
      expect(requests).toBe(2);
    },
  );

  test('a key server that does not answer is not waited for long', async () => {
    answer = 'nothing';
    const verify = tokenVerifier({ ...CHECKS, tokens: { kind: 'jwks', url }, keySet: { timeoutMs: 50 } });
    await expect(verify(await signed(first))).rejects.toMatchObject(UNAVAILABLE);
    expect(requests).toBeLessThanOrEqual(1); // the time may be over before the request is sent
  });

  test('a withdrawn key is refused once the keys were fetched anew', async () => {
    const verify = verifier();
    await verify(await signed(first));
    published = [second];
    later(11 * 60_000);
    const token = await signed(first);
    await vi.waitFor(() => expect(verify(token)).rejects.toMatchObject(REFUSED));
    expect(requests).toBe(2);
  });

  test('a key of the same name but another owner does not verify', async () => {
    const impostor = await pair('first');
    await expect(verifier()(await signed(impostor))).rejects.toMatchObject(REFUSED);
  });

  test('the public key is no HMAC secret', async () => {
    const verify = verifier();
    await verify(await signed(first));
    const forms = [await exportSPKI(first.publicKey), JSON.stringify(first.jwk), first.jwk.n ?? ''];
    for (const form of forms) {
      const text = `${base64({ alg: 'HS256', kid: 'first' })}.${base64(claims())}`;
      const token = `${text}.${createHmac('sha256', form).update(text).digest('base64url')}`;
      await expect(verify(token)).rejects.toMatchObject(REFUSED);
    }
    await expect(verify(`${base64({ alg: 'none', kid: 'first' })}.${base64(claims())}.`)).rejects.toMatchObject(
      REFUSED,
    );
    for (const algorithm of ['HS256', 'none']) expect(() => verifier([algorithm])).toThrow(TypeError);
  });

  test('only the chosen algorithms count', async () => {
    published = [first, second];
    const verify = verifier(['ES256']);
    await verify(await signed(second));
    await expect(verify(await signed(first))).rejects.toMatchObject(REFUSED);
  });

  test('a token cannot bring its own key or name its own key server', async () => {
    const own = await pair('own');
    const token = await new SignJWT(claims())
      .setProtectedHeader({ alg: own.alg, kid: 'own', jwk: own.jwk, jku: 'http://127.0.0.1:1/keys' })
      .sign(own.privateKey);
    await expect(verifier()(token)).rejects.toMatchObject(REFUSED);
  });
});
