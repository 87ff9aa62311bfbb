import { useDraggable } from '@dnd-kit/react';
import { memo } from 'react';
import type { TaskCardFragment } from '../gql/graphql.js';
import { Avatar } from '../parts.js';
import { PRIORITY_NAMES } from '../task/words.js';

export interface CardProps {
  readonly task: TaskCardFragment;
  readonly disabled: boolean;
  onOpen(task: TaskCardFragment): void;
}

/** A button, so that it is reached by Tab: Enter or a click opens it, Space or the pointer moves it. */
export const Card = memo(function Card({ task, disabled, onOpen }: CardProps) {
  const { ref, isDragSource } = useDraggable({ id: task.id, data: { task, status: task.status }, disabled });
  return (
    <li>
      <button
        type="button"
        ref={ref}
        className="card"
        data-task={task.identifier}
        data-moving={isDragSource}
        onClick={() => onOpen(task)}
      >
        <span className="meta">
          <span>{task.identifier}</span>
          {task.priority !== 'NONE' && (
            <span className="priority" data-priority={task.priority}>
              {PRIORITY_NAMES[task.priority]}
            </span>
          )}
        </span>
        <span className="title">{task.title}</span>
        <span className="meta">
          {task.labels.nodes.map(({ id, name, color }) => (
            <span key={id} className="label" style={{ '--label': color }}>
              {name}
            </span>
          ))}
          {task.commentCount > 0 && (
            <span className="comment-count">
              <svg viewBox="0 0 16 16" aria-hidden="true">
                <path d="M2 3h12v8H7l-3 3v-3H2z" />
              </svg>
              {task.commentCount}
              <span className="visually-hidden"> comments</span>
            </span>
          )}
          {task.assignee && <Avatar person={task.assignee} />}
        </span>
      </button>
    </li>
  );
});

export function focusCard(identifier: string): void {
  document.querySelector<HTMLElement>(`[data-task="${CSS.escape(identifier)}"]`)?.focus();
}
