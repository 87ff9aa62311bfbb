/** Dashboard and alert rules as their tests read them: every PromQL query, and the metrics and labels that it names. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SyntaxNode } from '@lezer/common';
import { parser } from '@prometheus-io/lezer-promql';
import { parse } from 'yaml';
import { ROOT } from '../docs/markdown.js';

export interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity?: string };
  readonly annotations: { readonly summary?: string; readonly description?: string; readonly runbook_url?: string };
}

interface RuleTest {
  readonly alert_rule_test: readonly { readonly alertname: string; readonly exp_alerts: readonly object[] }[];
}

export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}

export interface Query {
  /** Of the panel or the alert. */
  readonly name: string;
  readonly expr: string;
  /** Labels that a legend shows. */
  readonly shown: readonly string[];
}

/** A metric with its conditions. */
export interface Selector {
  readonly metric: string;
  readonly matchers: readonly { readonly label: string; readonly op: string; readonly value: string }[];
}

const read = (path: string) => readFileSync(join(ROOT, 'ops', path), 'utf8');

export function alertRules(): AlertRule[] {
  const { groups } = parse(read('prometheus/alerts.yml')) as { groups: { rules: AlertRule[] }[] };
  return groups.flatMap(({ rules }) => rules);
}

export function ruleTests(): RuleTest[] {
  return (parse(read('prometheus/alerts.test.yml')) as { tests: RuleTest[] }).tests;
}

export function panels(): Panel[] {
  return (JSON.parse(read('grafana/dashboard.json')) as { panels: Panel[] }).panels;
}

export function queries(): Query[] {
  const labelsIn = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([, label = '']) => label);
  return [
    ...alertRules().map(({ alert: name, expr, annotations: { description = '' } }) => {
      return { name, expr, shown: labelsIn(description, /\$labels\.(\w+)/g) };
    }),
    ...panels().flatMap(({ title: name, targets = [] }) =>
      targets.map(({ expr, legendFormat }) => {
        return { name, expr: withoutVariables(expr), shown: labelsIn(legendFormat, /\{\{(\w+)\}\}/g) };
      }),
    ),
  ];
}

/** Grafana's variables where PromQL has a duration. */
function withoutVariables(expr: string): string {
  return expr.replaceAll(/\$__(rate_interval|range)/g, '5m');
}

/** @throws Error where the query is no PromQL */
export function namesIn(expr: string): { selectors: Selector[]; grouping: string[] } {
  const selectors: Selector[] = [];
  const grouping: string[] = [];
  const textOf = ({ from, to }: { from: number; to: number }) => expr.slice(from, to);
  parser.parse(expr).iterate({
    enter(node) {
      if (node.type.isError) throw new Error(`no PromQL at ${node.from}: ${expr}`);
      if (node.name === 'VectorSelector') selectors.push(selectorOf(node.node, textOf));
      if (node.name === 'LabelName' && node.node.parent?.name === 'GroupingLabels') grouping.push(textOf(node));
    },
  });
  return { selectors, grouping };
}

function selectorOf(node: SyntaxNode, textOf: (node: SyntaxNode) => string): Selector {
  const metric = node.getChild('Identifier');
  if (metric === null) throw new Error(`a selector without a metric: ${textOf(node)}`);
  const matchers = (node.getChild('LabelMatchers')?.getChildren('UnquotedLabelMatcher') ?? []).map((matcher) => {
    const [label, op, value] = ['LabelName', 'MatchOp', 'StringLiteral'].map((name) => matcher.getChild(name));
    if (!label || !op || !value) throw new Error(`a matcher that cannot be read: ${textOf(matcher)}`);
    return { label: textOf(label), op: textOf(op), value: textOf(value).slice(1, -1) };
  });
  return { metric: textOf(metric), matchers };
}
