/** Small parts that several views use. */
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { linkTo } from './session.js';
import type { AnswerCounts, Outcome } from './types.js';

export function Panel({
  title,
  aside,
  children,
}: Readonly<{ title: string; aside?: unknown; children: ComponentChildren }>) {
  return (
    <section class="panel" aria-label={title}>
      <header>
        <h2>{title}</h2>
        {aside !== undefined && <div class="aside">{aside as ComponentChildren}</div>}
      </header>
      {children}
    </section>
  );
}

export function Figure({ label, value, note }: Readonly<{ label: string; value: string; note?: ComponentChildren }>) {
  return (
    <div class="figure">
      <dt>{label}</dt>
      <dd class="value">{value}</dd>
      {note !== undefined && <dd class="note">{note}</dd>}
    </div>
  );
}

export function Empty({ children }: Readonly<{ children: ComponentChildren }>) {
  return <p class="empty">{children}</p>;
}

export function Fault({ children }: Readonly<{ children: ComponentChildren }>) {
  return (
    <p class="fault" role="alert">
      {children}
    </p>
  );
}

/** A column's title; with `num` for numbers, `wide` for one that takes the space that is left. */
type Column = string | readonly [title: string, kind: 'num' | 'wide'];

/** The head of a table. */
export function Columns({ of }: Readonly<{ of: readonly Column[] }>) {
  return (
    <thead>
      <tr>
        {of.map((column) => {
          const [title, kind] = typeof column === 'string' ? [column] : column;
          return (
            <th key={title} scope="col" class={kind}>
              {title}
            </th>
          );
        })}
      </tr>
    </thead>
  );
}

/** How an operation is answered, cheapest first. */
export const ANSWERS: readonly { readonly key: keyof AnswerCounts; readonly label: string; readonly title: string }[] =
  [
    { key: 'kept', label: 'kept answer', title: 'A whole response, stored earlier and proved still valid' },
    { key: 'memory', label: 'memory', title: 'Run with values from process memory' },
    { key: 'redis', label: 'Redis', title: 'Run with at least one value from Redis' },
    { key: 'postgres', label: 'Postgres', title: 'Run with at least one value loaded from Postgres' },
    { key: 'bypassed', label: 'bypassed', title: 'Mutations, and queries that read a value without the cache' },
  ];

export interface Share {
  readonly name: string;
  readonly label: string;
  readonly count: number;
}

/** A bar of parts; its text is the label of each part and its count. */
export function Shares({ of }: Readonly<{ of: readonly Share[] }>) {
  const all = of.reduce((sum, { count }) => sum + count, 0);
  const shown = of.filter(({ count }) => count > 0);
  const text = shown.map(({ label, count }) => `${label} ${count}`).join(', ');
  return (
    <span class="shares" role="img" aria-label={text || 'none'} title={text}>
      {shown.map(({ name, count }) => (
        <span key={name} class={`part is-${name}`} style={{ flexGrow: count / all }} />
      ))}
    </span>
  );
}

/** The words of the cache trace. */
export const OUTCOMES: Readonly<Record<Outcome, { readonly label: string; readonly name: string }>> = {
  'near-hit': { label: 'memory', name: 'memory' },
  hit: { label: 'Redis', name: 'redis' },
  stale: { label: 'stale', name: 'stale' },
  joined: { label: 'joined', name: 'joined' },
  miss: { label: 'loaded', name: 'postgres' },
  bypass: { label: 'bypassed', name: 'bypassed' },
  error: { label: 'error', name: 'error' },
};

export function Badge({ name, children }: Readonly<{ name: string; children: ComponentChildren }>) {
  return <span class={`badge is-${name}`}>{children}</span>;
}

const TAGS_SHOWN = 3;

const UUID_START = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}(?=[0-9a-f]{8}\b)/g;

/** Ids of one age begin alike: their ends tell them apart. */
export function shortTag(tag: string): string {
  return tag.replaceAll(UUID_START, '…');
}

/** The row itself before the sets that it is in. */
function rank(tag: string): number {
  return tag.includes(':id=') ? 0 : tag.includes(':') ? 1 : 2;
}

/** Tags as links to the view of a tag. */
export function Tags({
  tags,
  omitted = 0,
  shown = TAGS_SHOWN,
}: Readonly<{ tags: readonly string[]; omitted?: number; shown?: number }>) {
  const [open, setOpen] = useState(false);
  const sorted = [...tags].sort((a, b) => rank(a) - rank(b));
  const listed = open ? sorted : sorted.slice(0, shown);
  const rest = tags.length - listed.length;
  return (
    <ul class="tags">
      {listed.map((tag) => (
        <li key={tag}>
          <a href={linkTo('lookup', { text: tag })} title={tag}>
            {shortTag(tag)}
          </a>
        </li>
      ))}
      {rest > 0 && (
        <li>
          <button type="button" class="quiet" onClick={() => setOpen(true)}>
            {rest + omitted} more
          </button>
        </li>
      )}
      {rest === 0 && omitted > 0 && <li class="note">and {omitted} more</li>}
    </ul>
  );
}

export function Meter({ value, max, label }: Readonly<{ value: number; max: number; label: string }>) {
  const share = max === 0 ? 0 : Math.min(1, value / max);
  return (
    <span class="meter" role="img" aria-label={label} title={label}>
      <span style={{ width: `${share * 100}%` }} />
    </span>
  );
}
