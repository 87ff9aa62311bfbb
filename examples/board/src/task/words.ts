/** Names of the API's enums for people. */
import type { ProjectRole, TaskPriority, TaskStatus } from '../gql/graphql.js';

export const STATUS_NAMES: Readonly<Record<TaskStatus, string>> = {
  BACKLOG: 'Backlog',
  TODO: 'To do',
  IN_PROGRESS: 'In progress',
  IN_REVIEW: 'In review',
  DONE: 'Done',
  CANCELED: 'Canceled',
};
export const STATUSES = Object.keys(STATUS_NAMES) as readonly TaskStatus[];
/** Those that the board has a column for. */
export const COLUMNS = STATUSES.filter((status) => status !== 'CANCELED');

export const PRIORITY_NAMES: Readonly<Record<TaskPriority, string>> = {
  URGENT: 'Urgent',
  HIGH: 'High',
  MEDIUM: 'Medium',
  LOW: 'Low',
  NONE: 'None',
};
export const PRIORITIES = Object.keys(PRIORITY_NAMES) as readonly TaskPriority[];

export const ROLE_NAMES: Readonly<Record<ProjectRole, string>> = {
  OWNER: 'owner',
  MEMBER: 'member',
  VIEWER: 'viewer',
};
