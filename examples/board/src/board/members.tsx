import type { ProjectRole } from '../gql/graphql.js';
import { Avatar, type Person } from '../parts.js';
import { ROLE_NAMES } from '../task/words.js';

export interface MembersProps {
  readonly members: readonly { readonly role: ProjectRole; readonly node: Person }[];
  readonly viewer: Person;
}

/** Who is on the project. */
export function Members({ members, viewer }: MembersProps) {
  return (
    <details className="members">
      <summary aria-label={`${members.length} members`}>
        {members.map(({ node }) => (
          <Avatar key={node.id} person={node} />
        ))}
      </summary>
      <ul>
        {members.map(({ role, node }) => (
          <li key={node.id}>
            {node.name}
            {node.id === viewer.id && ' (you)'} <span className="note">{ROLE_NAMES[role]}</span>
          </li>
        ))}
      </ul>
    </details>
  );
}
