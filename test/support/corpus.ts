/** The queries that other tests send, as a corpus for tests that compare two ways of answering. */
import { readFileSync } from 'node:fs';
import type { Fixture } from './fixture.js';

export interface Operation {
  readonly query: string;
  readonly operationName?: string | null;
  readonly variables?: Record<string, unknown>;
}

/** The ids in it are replaced by those of this fixture, in order. */
export function corpus(f: Fixture): Operation[] {
  const ids: Record<string, readonly { id: string }[]> = {
    user: [f.ada, f.bob, f.vic, f.eve],
    project: [f.ops, f.web],
    task: [...f.opsTasks, f.webTask],
    label: [f.bug, f.docs],
    comment: [],
  };
  const text = readFileSync(new URL('./corpus.jsonl', import.meta.url), 'utf8');
  const known = text.replace(/\{\{(\w+):(\d+)\}\}/g, (_, kind, i) => ids[kind]?.[i]?.id ?? `${kind}_${i}`);
  return known
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}
