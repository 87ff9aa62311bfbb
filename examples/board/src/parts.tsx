/** Small things that several views show. */
import type { ReactNode } from 'react';
import type { CombinedError } from 'urql';

export interface Person {
  readonly id: string;
  readonly name: string;
}

/** A message, and buttons for what can be done about it: by default to load the page again. */
export function Fault({ error, children }: { error: CombinedError | string; children?: ReactNode }) {
  return (
    <div className="fault" role="alert">
      <p>{typeof error === 'string' ? error : error.message}</p>
      {children ?? (
        <button type="button" onClick={() => location.reload()}>
          Reload
        </button>
      )}
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
