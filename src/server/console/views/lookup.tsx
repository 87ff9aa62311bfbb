/** A row or a tag: its token or fence, its last invalidation, and what this process holds under it. */
import { useState } from 'preact/hooks';
import { LOOKUP } from '../documents.js';
import { ago, bytes, duration, NONE, number, plural } from '../format.js';
import { Badge, Columns, Empty, Fault, Panel, shortTag } from '../parts.js';
import { linkTo, type Route, useQuery } from '../session.js';
import type { TagLookup, TagState } from '../types.js';

/** A lookup costs points. */
const RELOAD_MS = 5000;

const STATES: Readonly<Record<TagState['state'], { readonly name: string; readonly label: string }>> = {
  TOKEN: { name: 'kept', label: 'token' },
  FENCED: { name: 'error', label: 'fenced' },
  NONE: { name: 'bypassed', label: 'no token' },
};

export function LookupView({ parameters }: Route) {
  const wanted = parameters.get('text') ?? '';
  const [text, setText] = useState<string>();
  const loaded = useQuery<{ cacheTag: TagLookup }>(LOOKUP, wanted === '' ? undefined : { text: wanted }, RELOAD_MS);
  const answer = loaded.value?.cacheTag;
  return (
    <>
      <form
        class="toolbar"
        onSubmit={(event) => {
          event.preventDefault();
          location.hash = linkTo('lookup', { text: (text ?? wanted).trim() });
          setText(undefined);
        }}
      >
        <label for="text">Row or tag</label>
        <input
          id="text"
          type="search"
          placeholder="OPS-42, an id, or tasks:id=…"
          spellcheck={false}
          value={text ?? wanted}
          onInput={({ currentTarget }) => setText(currentTarget.value)}
        />
        <button type="submit" class="primary">
          Look up
        </button>
      </form>
      {wanted === '' && (
        <Empty>Type the identifier of a task, an id of the API, or a tag as traces and invalidations show it.</Empty>
      )}
      {loaded.error !== undefined && <Fault>{loaded.error}</Fault>}
      {loaded.error === undefined && answer?.text === wanted && <Found lookup={answer} />}
    </>
  );
}

function Found({ lookup: { kind, table, found, id, tags } }: Readonly<{ lookup: TagLookup }>) {
  return (
    <>
      <p class="lead" role="status">
        {kind === 'TAG' && `A tag of ${table}. `}
        {kind === 'ROW' && (found ? `A row of ${table}: ` : `There is no such row of ${table}. `)}
        {id !== null && <code>{id}</code>}
        {kind === 'ROW' && found && `. A change of it touches up to ${plural(tags.length, 'tag')}.`}
      </p>
      <Panel title="Tags" aside="Entries are those in the memory of this process">
        <ul class="lookup">
          {tags.map((tag) => (
            <li key={tag.tag}>
              <details open={tags.length === 1}>
                <TagSummary tag={tag} />
                <TagDetails tag={tag} />
              </details>
            </li>
          ))}
        </ul>
      </Panel>
    </>
  );
}

function TagSummary({ tag: { tag, state, lastInvalidation, policies } }: Readonly<{ tag: TagState }>) {
  const { name, label } = STATES[state];
  const entries = policies.reduce((sum, policy) => sum + policy.entries, 0);
  return (
    <summary>
      <code class="subject" title={tag}>
        {shortTag(tag)}
      </code>
      <Badge name={name}>{label}</Badge>
      <span class="note">{lastInvalidation === null ? 'not lately' : ago(lastInvalidation.at)}</span>
      <span class="num">{entries === 0 ? NONE : plural(entries, 'entry', 'entries')}</span>
    </summary>
  );
}

function TagDetails({ tag }: Readonly<{ tag: TagState }>) {
  return (
    <>
      <dl class="pairs">
        <dt>Tag</dt>
        <dd>
          <code>{tag.tag}</code>
        </dd>
        {tag.text !== null && (
          <>
            <dt>{tag.state === 'FENCED' ? 'Fence' : 'Token'}</dt>
            <dd>
              <code>{tag.text}</code>
              {tag.ttlMs !== null && <span class="note"> {duration(tag.ttlMs)} left</span>}
            </dd>
          </>
        )}
        {tag.fencedBy.length > 0 && (
          <>
            <dt>Fenced by</dt>
            <dd>{tag.fencedBy.map((transaction) => `transaction ${transaction}`).join(', ')}</dd>
          </>
        )}
        <dt>Last invalidated</dt>
        <dd>
          {tag.lastInvalidation === null
            ? 'not in the newest rows of the outbox'
            : `${ago(tag.lastInvalidation.at)}, by transaction ${tag.lastInvalidation.transaction}`}
        </dd>
        <dt>Held here</dt>
        <dd>
          {tag.policies.length === 0 && 'nothing'}
          {tag.policies
            .map(({ name, entries, bytes: size }) => `${name} ${number(entries)} (${bytes(size)})`)
            .join(', ')}
        </dd>
      </dl>
      {tag.entries.length > 0 && <Entries tag={tag} />}
    </>
  );
}

function Entries({ tag: { tag, entries, entriesOmitted } }: Readonly<{ tag: TagState }>) {
  return (
    <div class="scroll">
      <table aria-label={`Entries under ${tag}`}>
        <Columns of={['Policy', ['Age', 'num'], ['TTL left', 'num'], ['Size', 'num'], 'Key']} />
        <tbody>
          {entries.map((entry) => (
            <tr key={`${entry.policy} ${entry.key}`}>
              <th scope="row">{entry.policy}</th>
              <td class="num">{duration(entry.ageMs)}</td>
              <td class="num">{duration(entry.ttlLeftMs)}</td>
              <td class="num">{bytes(entry.bytes)}</td>
              <td>
                <code class="key">{entry.key}</code>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {entriesOmitted > 0 && <p class="note">{number(entriesOmitted)} more are not listed.</p>}
    </div>
  );
}
