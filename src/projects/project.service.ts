/** Writes of projects. */
import { z } from 'zod';
import type { UserId } from '../db/ids.js';
import { parseInput, Refusal, textInput, UserErrorCode } from '../graphql/user-error.js';
import type { Transactor } from '../invalidation/transact.js';
import { PROJECT_KEY, projectMembers, projects, taskNumbers } from './project.table.js';
import type { CreateProjectInput } from './project.type.js';

const createProjectInput = z.object({
  key: z.string().regex(PROJECT_KEY, 'expected 2 to 10 capital letters or digits, a letter first'),
  name: textInput(1, 100).transform((name) => name.trim()),
  description: textInput(0, 10_000).nullish(),
});

export class ProjectService {
  constructor(private readonly transactor: Transactor) {}

  create(viewerId: UserId, input: CreateProjectInput) {
    return this.transactor.transact(async (tx) => {
      const { key, name, description } = parseInput(createProjectInput, input);
      const [project] = await tx
        .insert(projects)
        .values({ key, name, description: description ?? null })
        .onConflictDoNothing({ target: projects.key })
        .returning();
      if (project === undefined) {
        throw new Refusal(UserErrorCode.INVALID, `the key ${key} is taken`, ['input', 'key']);
      }
      await tx.insert(projectMembers).values({ projectId: project.id, userId: viewerId, role: 'OWNER' });
      await tx.insert(taskNumbers).values({ projectId: project.id });
      return { project };
    });
  }
}
