/** Small things that several views show. */
import type { CombinedError } from 'urql';

export interface Person {
  readonly id: string;
  readonly name: string;
}

/** A message, and what can be done about it. Without an action, a reload of the page. */
export function Fault({ error, action }: { error: CombinedError | string; action?: { name: string; run(): void } }) {
  const { name, run } = action ?? { name: 'Reload', run: () => location.reload() };
  return (
    <div className="fault" role="alert">
      <p>{typeof error === 'string' ? error : error.message}</p>
      <button type="button" onClick={run}>
        {name}
      </button>
    </div>
  );
}

export function Avatar({ person }: { person: Person }) {
  return (
    <span className="avatar" style={{ '--hue': hueOf(person.id) }} title={person.name}>
      <span aria-hidden="true">{initialsOf(person.name)}</span>
      <span className="visually-hidden">{person.name}</span>
    </span>
  );
}

function initialsOf(name: string): string {
  const words = name.split(/\s+/).filter((word) => /^\p{Lu}/u.test(word) && !/\.$|^I+V?$/.test(word));
  return [words[0], words.length > 1 ? words.at(-1) : undefined].map((word) => word?.[0] ?? '').join('');
}

function hueOf(id: string): number {
  return [...id].reduce((hue, character) => (hue * 31 + character.charCodeAt(0)) % 360, 0);
}
