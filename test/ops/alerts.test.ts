/** The alert rules: each has a paragraph in the runbook, and fires when it should. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { anchorsOf, ROOT, readPage } from '../docs/markdown.js';
import { needsPromtool, promtoolPath, runPromtool } from '../support/promtool.js';
import { alertRules, ruleTests } from './queries.js';

const RUNBOOK = 'docs/runbook.md';
const folder = join(ROOT, 'ops/prometheus');

test('every alert says what happened, how urgent it is, and where the runbook has it', () => {
  const anchors = anchorsOf(readPage(RUNBOOK));
  const faulty = alertRules().filter(({ alert, labels, annotations }) => {
    const { summary, description, runbook_url: url } = annotations;
    const [page, anchor = ''] = (url ?? '').split('#');
    const urgent = ['critical', 'warning', 'info'].includes(labels.severity ?? '');
    const isThere = page === RUNBOOK && anchor === alert.toLowerCase() && anchors.includes(anchor);
    return !(summary && description && urgent && isThere);
  });
  expect(faulty).toEqual([]);
});

test('the runbook has no alert that does not exist', () => {
  const headings = [...readPage(RUNBOOK).text.matchAll(/^### (\w+)$/gm)].map(([, name]) => name);
  expect(headings.toSorted()).toEqual(
    alertRules()
      .map(({ alert }) => alert)
      .toSorted(),
  );
});

test('every alert has a test in which it fires, and one in which it does not', () => {
  const cases = ruleTests().flatMap(({ alert_rule_test: cases }) => cases);
  for (const { alert } of alertRules()) {
    const own = cases.filter(({ alertname }) => alertname === alert);
    expect([alert, ...own.map(({ exp_alerts: alerts }) => alerts.length > 0)]).toEqual([alert, true, false]);
  }
});

describe.skipIf(promtoolPath === undefined)(`promtool${needsPromtool}`, () => {
  test.each([
    ['the rules are valid', ['check', 'rules', 'alerts.yml']],
    ['the configuration of Prometheus is valid', ['check', 'config', 'prometheus.yml']],
    ['the tests of the rules pass', ['test', 'rules', 'alerts.test.yml']],
  ])('%s', (_, args) => {
    const file = join(folder, args.at(-1) as string);
    expect(runPromtool([...args.slice(0, -1), file])).not.toContain('FAILED');
  });
});
