import { useDragOperation, useDroppable } from '@dnd-kit/react';
import type { TaskCardFragment, TaskStatus } from '../gql/graphql.js';
import { STATUS_NAMES } from '../task/words.js';
import { Card, type CardProps } from './card.js';
import { headId } from './drag.js';

export interface ColumnProps extends Omit<CardProps, 'task'> {
  readonly status: TaskStatus;
  readonly tasks: readonly TaskCardFragment[];
  /** Where there is room for one column only: which it is, and how to choose another. */
  readonly tab?: { readonly shown: boolean; show(): void } | undefined;
}

/** Cards are dropped on the head, which is always in view, or on the list. */
export function Column({ status, tasks, tab, ...card }: ColumnProps) {
  const head = useDroppable({ id: `head:${status}`, data: { status } });
  const list = useDroppable({ id: `list:${status}`, data: { status } });
  const { target } = useDragOperation();
  const over = target?.data['status'] === status;
  const name = (
    <>
      {STATUS_NAMES[status]} <span className="count">{tasks.length}</span>
    </>
  );
  return (
    <section className="column" aria-labelledby={headId(status)} data-over={over} data-shown={tab?.shown ?? true}>
      <h2 id={headId(status)} ref={head.ref}>
        {tab ? (
          <button type="button" aria-pressed={tab.shown} onClick={tab.show}>
            {name}
          </button>
        ) : (
          name
        )}
      </h2>
      <ul ref={list.ref}>
        {tasks.map((task) => (
          <Card key={task.id} task={task} {...card} />
        ))}
      </ul>
    </section>
  );
}
