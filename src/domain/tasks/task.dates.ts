/** The rule of a task's dates, which requests and imports are held to alike. */
import type { TaskRow } from './task.table.js';

export const LATE_START = 'expected the task to start no later than it is due';

/** Whether a task would start after it is due. */
export function startsLate({ startDate, dueDate }: Partial<Pick<TaskRow, 'startDate' | 'dueDate'>>): boolean {
  return Boolean(startDate && dueDate && startDate > dueDate);
}
