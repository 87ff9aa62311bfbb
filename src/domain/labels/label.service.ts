/** Writes of labels. */
import { and, eq, sql } from 'drizzle-orm';
import { z } from 'zod';
import { changedFields } from '../../db/differences.js';
import type { LabelId, ProjectId, UserId } from '../../db/ids.js';
import { violatesUnique } from '../../db/violations.js';
import type { Writer } from '../../db/writer.js';
import type { Executor, Transaction, Transactor } from '../../engine/postgres/index.js';
import { Faults, readForm, requireField } from '../../graphql/form.js';
import {
  changedTextInput,
  idempotencyKeyInput,
  idInput,
  misfit,
  notNull,
  optionalTextInput,
  parseInput,
  Refusal,
  textInput,
  UserErrorCode,
} from '../../graphql/user-error.js';
import { TEXTS } from '../../std/text.js';
import type { Idempotency } from '../idempotency/idempotency.js';
import { notFound, requireWriter } from '../projects/access.js';
import { projectMembers } from '../projects/project.table.js';
import { DEFAULT_COLOR, type LabelRow, labels } from './label.table.js';
import type { CreateLabelInput, DeleteLabelInput, UpdateLabelInput } from './label.type.js';

const name = textInput(TEXTS.labelName);
const color = z
  .string()
  .toLowerCase()
  .regex(/^#[0-9a-f]{6}$/, 'expected a color like #1d76db');
const createLabelInput = z.object({
  projectId: idInput('project'),
  name,
  color: color.nullish(),
  description: optionalTextInput(TEXTS.labelDescription),
  idempotencyKey: idempotencyKeyInput,
});
const labelInput = z.object({ id: idInput('label') });
const updateLabelInput = labelInput.extend({
  name: notNull(name),
  color: notNull(color),
  description: changedTextInput(TEXTS.labelDescription),
});

export class LabelService {
  constructor(
    private readonly transactor: Transactor,
    private readonly idempotency: Idempotency,
  ) {}

  async create(by: Writer, given: CreateLabelInput) {
    const { viewerId } = by;
    const form = readForm(createLabelInput, given);
    const projectId = requireField(form, 'projectId');
    const { value, tags } = await this.idempotency.create({
      by,
      operation: 'createLabel',
      prefix: 'label',
      form,
      create: async (tx, id) => {
        const faults = new Faults(form);
        const named = { what: 'project', path: ['input', 'projectId'] };
        await faults.require(() => requireWriter(tx, viewerId, projectId, named));
        await checkName(tx, faults, { projectId, name: form.fields.name });
        const { name, color, description } = faults.complete(form);
        const values = { id, projectId, name, color: color ?? DEFAULT_COLOR, description: description ?? null };
        const [label] = await nameOnce(name, () => tx.insert(labels).values(values).returning());
        return label as LabelRow;
      },
      find: (db, id) => visibleLabel(db, viewerId, id),
    });
    return { value: { label: value }, tags };
  }

  update(by: Writer, given: UpdateLabelInput) {
    const { viewerId } = by;
    const form = readForm(updateLabelInput, given);
    const id = requireField(form, 'id');
    return this.transactor.transact(async (tx) => {
      const faults = new Faults(form);
      const label = await faults.require(() => labelToWrite(tx, viewerId, id));
      const { description, name } = form.fields;
      faults.add(misfit(TEXTS.labelDescription, 'description', { given: description, stored: label.description }));
      await checkName(tx, faults, { projectId: label.projectId, name, id });
      const { id: _, ...changes } = faults.complete(form);
      const different = changedFields(label, changes);
      if (different === undefined) return { label };
      const [updated] = await nameOnce(changes.name, () =>
        tx
          .update(labels)
          .set({ ...different, updatedAt: sql`now()` })
          .where(eq(labels.id, id))
          .returning(),
      );
      return { label: updated as LabelRow };
    }, by);
  }

  delete(by: Writer, given: DeleteLabelInput) {
    const { viewerId } = by;
    const { id } = parseInput(labelInput, given);
    return this.transactor.transact(async (tx) => {
      await labelToWrite(tx, viewerId, id);
      await tx.delete(labels).where(eq(labels.id, id));
      return { deletedLabelId: id };
    }, by);
  }
}

/** Locks the label if the viewer can write in its project. A label never changes its project. @throws Refusal */
async function labelToWrite(tx: Transaction, viewerId: UserId, id: LabelId): Promise<LabelRow> {
  const named = { what: 'label', path: ['input', 'id'] };
  const [known] = await tx.select({ projectId: labels.projectId }).from(labels).where(eq(labels.id, id));
  if (known === undefined) throw notFound(named.what, named.path);
  await requireWriter(tx, viewerId, known.projectId, named);
  const [label] = await tx.select().from(labels).where(eq(labels.id, id)).for('update');
  if (label === undefined) throw notFound(named.what, named.path);
  return label;
}

/**
 * Adds a fault if another label has the name, for an answer that is a refusal anyway. Otherwise the unique constraint
 * decides, without a statement of its own.
 */
async function checkName(
  tx: Transaction,
  faults: Faults,
  { projectId, name, id }: { projectId: ProjectId; name: string | undefined; id?: LabelId },
): Promise<void> {
  if (!faults.any || name === undefined) return;
  const [known] = await tx
    .select({ id: labels.id })
    .from(labels)
    .where(and(eq(labels.projectId, projectId), eq(labels.name, name)));
  if (known !== undefined && known.id !== id) faults.add(nameTaken(name));
}

/** Relies on the unique constraint, because two writes can use one name at once. */
async function nameOnce<T>(name: string | undefined, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    if (!violatesUnique(error, 'labels_name')) throw error;
    throw nameTaken(name);
  }
}

function nameTaken(name: string | undefined): Refusal {
  return new Refusal(UserErrorCode.TAKEN, `the project has a label named ${name}`, ['input', 'name']);
}

async function visibleLabel(db: Executor, viewerId: UserId, id: LabelId): Promise<LabelRow | undefined> {
  const [found] = await db
    .select({ label: labels })
    .from(labels)
    .innerJoin(projectMembers, and(eq(projectMembers.projectId, labels.projectId), eq(projectMembers.userId, viewerId)))
    .where(eq(labels.id, id));
  return found?.label;
}
