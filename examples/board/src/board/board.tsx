/** The columns, and moving a card from one to another. */
import type { DragEndEvent, DragStartEvent } from '@dnd-kit/dom';
import { DragDropProvider } from '@dnd-kit/react';
import { useEffect, useRef, useState } from 'react';
import type { TaskCardFragment, TaskStatus } from '../gql/graphql.js';
import { useMedia } from '../hooks.js';
import { useEdits } from '../task/use-edits.js';
import { COLUMNS, PRIORITIES } from '../task/words.js';
import { focusCard } from './card.js';
import { Column } from './column.js';
import { PLUGINS, SENSORS, statusOver, taskOf } from './drag.js';

type Task = TaskCardFragment;

export interface BoardProps {
  readonly tasks: readonly Task[];
  readonly disabled: boolean;
  onOpen(task: Task): void;
}

export function Board({ tasks, disabled, onOpen }: BoardProps) {
  const { edits } = useEdits();
  const [shown, setShown] = useState<TaskStatus>('TODO');
  const narrow = useMedia('(max-width: 760px)');
  /** The lifted card as it was then. It stays in its column, and what others do to it meanwhile may be a conflict. */
  const [lifted, setLifted] = useState<Task>();

  const moved = useRef<string>(undefined);
  useEffect(() => {
    if (lifted !== undefined || moved.current === undefined) return;
    focusCard(moved.current); // in another column it is another element
    moved.current = undefined;
  }, [lifted]);

  const lift = (event: DragStartEvent) => setLifted(taskOf(event));
  const drop = (event: DragEndEvent) => {
    setLifted(undefined);
    const status = statusOver(event);
    if (event.canceled || !lifted || status === undefined) return;
    if (event.operation.activatorEvent instanceof KeyboardEvent) {
      moved.current = lifted.identifier;
      setShown(status);
    }
    if (status !== lifted.status) void edits.change(lifted, { status });
  };

  const placed = lifted ? [...tasks.filter(({ id }) => id !== lifted.id), lifted] : tasks;
  const sorted = placed.toSorted(byPriority);
  return (
    <DragDropProvider sensors={SENSORS} plugins={PLUGINS} onDragStart={lift} onDragEnd={drop}>
      <div className="board">
        {COLUMNS.map((status) => (
          <Column
            key={status}
            status={status}
            tasks={sorted.filter((task) => task.status === status)}
            tab={narrow ? { shown: status === shown, show: () => setShown(status) } : undefined}
            disabled={disabled}
            onOpen={onOpen}
          />
        ))}
      </div>
    </DragDropProvider>
  );
}

function byPriority(a: Task, b: Task): number {
  return (
    PRIORITIES.indexOf(a.priority) - PRIORITIES.indexOf(b.priority) ||
    b.identifier.localeCompare(a.identifier, 'en', { numeric: true })
  );
}
