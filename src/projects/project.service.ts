/** Writes of projects. */
import { z } from 'zod';
import type { UserId } from '../db/ids.js';
import { parseInput, Refusal, UserErrorCode } from '../graphql/user-error.js';
import type { Transactor } from '../invalidation/transact.js';
import { projectMembers, projects, taskNumbers } from './project.table.js';
import type { CreateProjectInput } from './project.type.js';

const createProjectInput = z.object({
  key: z.string().regex(/^[A-Z][A-Z0-9]{1,9}$/, 'expected 2 to 10 capital letters or digits, a letter first'),
  name: z.string().trim().min(1, 'expected 1 to 100 characters').max(100, 'expected 1 to 100 characters'),
  description: z.string().max(10_000, 'expected at most 10 000 characters').nullish(),
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
