/** Every cached source that several fields share. Checked at start; test/api/cache-policies.md lists them. */

import type { Source } from '../db/sources.js';
import { commentById, commentCountOf, commentPages } from './comments/comment.loaders.js';
import { projectActivity, taskHistory } from './history/history.loaders.js';
import { labelById, labelsOfProject } from './labels/label.loaders.js';
import { invitationsOf } from './projects/invitation.loaders.js';
import { peopleCounts, peoplePages } from './projects/people.loaders.js';
import { membershipsOf, membersOf, projectById, projectIdByKey, projectsJoinedBy } from './projects/project.loaders.js';
import { trashedProjectById, trashedProjectCounts, trashedProjectPages } from './projects/trashed-project.loaders.js';
import { formerNumbersOf, taskIdByFormerNumber } from './tasks/former-number.loaders.js';
import {
  heavyRelativeTaskCounts,
  heavyRelativeTaskPages,
  heavyTaskCounts,
  heavyTaskPages,
  labelIdsOf,
  projectStats,
  relativeTaskCounts,
  relativeTaskPages,
  taskById,
  taskCounts,
  taskIdByNumber,
  taskPages,
} from './tasks/task.loaders.js';
import { blockingProjectsOf, relationsOf } from './tasks/task-relation.loaders.js';
import { trashedTaskById, trashedTaskCounts, trashedTaskPages } from './trash/trashed-task.loaders.js';
import { userById, userIdByHandle, userIdBySubject, userIdByVerifiedEmail } from './users/user.loaders.js';
import { webhooksOf } from './webhooks/webhook.loaders.js';

export const allSources = [
  userById,
  userIdByHandle,
  userIdBySubject,
  userIdByVerifiedEmail,
  projectById,
  projectIdByKey,
  membershipsOf,
  projectsJoinedBy,
  membersOf,
  invitationsOf,
  peoplePages,
  peopleCounts,
  labelById,
  labelsOfProject,
  taskById,
  taskIdByNumber,
  taskPages,
  heavyTaskPages,
  taskCounts,
  heavyTaskCounts,
  relativeTaskPages,
  heavyRelativeTaskPages,
  relativeTaskCounts,
  heavyRelativeTaskCounts,
  labelIdsOf,
  relationsOf,
  blockingProjectsOf,
  projectStats,
  commentById,
  commentPages,
  commentCountOf,
  taskIdByFormerNumber,
  formerNumbersOf,
  trashedTaskById,
  trashedTaskPages,
  trashedTaskCounts,
  trashedProjectById,
  trashedProjectPages,
  trashedProjectCounts,
  taskHistory,
  webhooksOf,
  projectActivity,
] as readonly Source<never, unknown>[];
