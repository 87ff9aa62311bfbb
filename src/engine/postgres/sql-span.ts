/** Statements as spans, by OpenTelemetry's conventions for databases: with their text and without their values. */
import { type Attributes, SpanKind } from '@opentelemetry/api';
import type { SpanDescription } from '../cache/spans.js';
import type { Connection } from './connection-url.js';

/** A list may have a parameter for each of thousands of ids. */
const MAX_TEXT_CHARS = 4096;
/** Deeper subqueries may lend their table to the summary. */
const MAX_DEPTH = 8;
/** What a statement does, and to which table. */
const VERB = /\b(select|insert|update|delete)\b/i;
const TABLE = /\b(?:from|into|update)\s+(?!as\b)((?:"?\w+"?\.)?"?\w+"?)/i;

/** The same for all statements of a database. */
export function databaseAttributes({ host, port, database, socketPath }: Connection): Attributes {
  return {
    'db.system.name': 'postgresql',
    ...(database !== undefined && { 'db.namespace': database }),
    ...(socketPath === undefined ? { 'server.address': host, 'server.port': port } : { 'server.address': socketPath }),
  };
}

export function sqlSpan(text: string, database: Attributes): SpanDescription {
  const summary = summaryOf(text);
  return {
    name: summary || 'postgresql',
    kind: SpanKind.CLIENT,
    attributes: { ...database, 'db.query.summary': summary, 'db.query.text': text.slice(0, MAX_TEXT_CHARS) },
  };
}

/** `SELECT tasks`, for example; without a table where none is named outside parentheses. */
function summaryOf(text: string): string {
  let flat = text;
  for (let depth = 0; depth < MAX_DEPTH && flat.includes('('); depth++) flat = flat.replaceAll(/\([^()]*\)/g, '');
  const [, verb] = VERB.exec(flat) ?? [];
  const [, table] = TABLE.exec(flat) ?? [];
  return [verb?.toUpperCase(), table?.replaceAll('"', '')].filter((part) => part !== undefined).join(' ');
}
