import { createContext, type ReactNode, useContext, useMemo, useSyncExternalStore } from 'react';
import { useClient } from 'urql';
import { type EditState, TaskEdits } from './edits.js';

const Context = createContext<TaskEdits | undefined>(undefined);

export function EditsProvider({ children }: { children: ReactNode }) {
  const client = useClient();
  const edits = useMemo(() => new TaskEdits(client), [client]);
  return <Context value={edits}>{children}</Context>;
}

export function useEdits(): { edits: TaskEdits; state: EditState } {
  const edits = useContext(Context);
  if (edits === undefined) throw new Error('expected to be within an EditsProvider');
  const state = useSyncExternalStore(edits.subscribe, () => edits.state);
  return { edits, state };
}
