/** Writes of labels. */
import { z } from 'zod';
import type { UserId } from '../db/ids.js';
import { idInput, parseInput, Refusal, textInput, UserErrorCode } from '../graphql/user-error.js';
import type { Transactor } from '../invalidation/transact.js';
import { requireWriter } from '../projects/access.js';
import { labels } from './label.table.js';
import type { CreateLabelInput } from './label.type.js';

const DEFAULT_COLOR = '#8b949e';

const createLabelInput = z.object({
  projectId: idInput('project'),
  name: textInput(1, 100).transform((name) => name.trim()),
  color: z
    .string()
    .toLowerCase()
    .regex(/^#[0-9a-f]{6}$/, 'expected a colour like #1d76db')
    .nullish(),
  description: textInput(0, 1000).nullish(),
});

export class LabelService {
  constructor(private readonly transactor: Transactor) {}

  create(viewerId: UserId, input: CreateLabelInput) {
    return this.transactor.transact(async (tx) => {
      const { projectId, name, color, description } = parseInput(createLabelInput, input);
      await requireWriter(tx, viewerId, projectId, { what: 'project', path: ['input', 'projectId'] });
      const [label] = await tx
        .insert(labels)
        .values({ projectId, name, color: color ?? DEFAULT_COLOR, description: description ?? null })
        .onConflictDoNothing({ target: [labels.projectId, labels.name] })
        .returning();
      if (label === undefined) {
        throw new Refusal(UserErrorCode.INVALID, `the project has a label named ${name}`, ['input', 'name']);
      }
      return { label };
    });
  }
}
