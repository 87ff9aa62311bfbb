/** The frame: which project, whether the connection is there, and the board. */
import type { Client as Socket } from 'graphql-ws';
import { useEffect } from 'react';
import { useQuery } from 'urql';
import { Projects } from './api/operations.js';
import { BoardPage } from './board/board-page.js';
import { type Connection, go, useConnection, useRoute } from './hooks.js';
import { Fault } from './parts.js';
import { EditsProvider } from './task/use-edits.js';

const CONNECTION_NAMES: Readonly<Record<Connection, string>> = {
  connecting: 'Connecting…',
  live: 'Live',
  lost: 'Connection lost: shows the last known state',
};

export function App({ socket, onSignOut }: { socket: Socket; onSignOut(): void }) {
  const connection = useConnection(socket);
  const { project, task } = useRoute();
  const [{ data, error }] = useQuery({ query: Projects });
  const projects = data?.projects.nodes ?? [];
  const first = projects[0]?.key;
  useEffect(() => {
    if (project === undefined && first !== undefined) go(first);
  }, [project, first]);
  return (
    <EditsProvider>
      <header className="top">
        <select aria-label="Project" value={project ?? ''} onChange={({ target }) => go(target.value)}>
          {projects.map(({ id, key, name }) => (
            <option key={id} value={key}>
              {name}
            </option>
          ))}
        </select>
        <p className="connection" role="status" data-connection={connection}>
          {CONNECTION_NAMES[connection]}
        </p>
        <span className="viewer">{data?.viewer.name}</span>
        <button type="button" className="quiet" onClick={onSignOut}>
          Sign out
        </button>
      </header>
      {error && <Fault error={error} />}
      {project !== undefined && data && (
        <BoardPage key={project} projectKey={project} task={task} viewer={data.viewer} />
      )}
    </EditsProvider>
  );
}
