/** How cards are dragged (dnd-kit): arrow keys move from column to column, and screen readers hear task and column. */
import {
  Accessibility,
  AutoScroller,
  Cursor,
  type DragDropManager,
  type DragStartEvent,
  Feedback,
  KeyboardSensor,
  PointerSensor,
  PreventSelection,
} from '@dnd-kit/dom';
import type { TaskCardFragment, TaskStatus } from '../gql/graphql.js';
import { COLUMNS, STATUS_NAMES } from '../task/words.js';

export const headId = (status: TaskStatus): string => `head-${status}`;

export const taskOf = ({ operation }: Pick<DragStartEvent, 'operation'>): TaskCardFragment | undefined =>
  operation.source?.data['task'];

export const statusOver = ({ operation }: Pick<DragStartEvent, 'operation'>): TaskStatus | undefined =>
  operation.target?.data['status'];

const STEPS: Readonly<Partial<Record<string, number>>> = { left: -1, right: 1 };

class ColumnSensor extends KeyboardSensor {
  constructor(manager: DragDropManager) {
    // Enter opens a card, so only Space lifts it.
    const keyboardCodes = {
      ...KeyboardSensor.defaults.keyboardCodes,
      start: ['Space'],
      end: ['Space', 'Enter'],
      cancel: ['Escape', 'Tab'],
    };
    super(manager, { keyboardCodes });
  }

  protected override handleMove(direction: string, event: KeyboardEvent): void {
    event.preventDefault();
    const { source, target } = this.manager.dragOperation;
    const over = (target ?? source)?.data['status'];
    const next = COLUMNS[COLUMNS.indexOf(over) + (STEPS[direction] ?? 0)];
    const head = next && document.getElementById(headId(next))?.getBoundingClientRect();
    if (!head) return;
    this.manager.actions.move({ event, to: { x: head.x + head.width / 2, y: head.y + head.height / 2 } });
  }
}

export const SENSORS = [PointerSensor, ColumnSensor];

const speaking = Accessibility.configure({
  screenReaderInstructions: {
    draggable: 'Enter opens the task. Space lifts it: then arrow keys move it, Space drops it, and Escape cancels.',
  },
  announcements: {
    dragstart: (event: DragStartEvent) => `${taskOf(event)?.identifier} is lifted.`,
    dragover: (event: DragStartEvent) => `${taskOf(event)?.identifier} is over ${nameOver(event)}.`,
    dragend: (event: DragStartEvent & { canceled: boolean }) =>
      event.canceled || statusOver(event) === undefined
        ? `${taskOf(event)?.identifier} is back where it was.`
        : `${taskOf(event)?.identifier} is in ${nameOver(event)}.`,
  },
});

function nameOver(event: Pick<DragStartEvent, 'operation'>): string {
  const status = statusOver(event);
  return status === undefined ? 'no column' : STATUS_NAMES[status];
}

/** A copy stays in the card's place. Without an animation the card is in its column at once. */
const moving = Feedback.configure({ feedback: 'clone', dropAnimation: () => {} });

export const PLUGINS = [speaking, AutoScroller, Cursor, moving, PreventSelection];
