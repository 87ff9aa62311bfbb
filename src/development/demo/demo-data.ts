/**
 * Demo data for an empty database: the same people, projects, tasks and comments every time, dated relative to today so
 * that the statistics are not empty.
 */
import { base, en, Faker } from '@faker-js/faker';
import { sql } from 'drizzle-orm';
import { type Id, type LabelId, newId, type ProjectId, type TaskId, type UserId } from '../../db/ids.js';
import { comments } from '../../domain/comments/comment.table.js';
import { labels } from '../../domain/labels/label.table.js';
import { invitations } from '../../domain/projects/invitation.table.js';
import { projectMembers, projects, taskNumbers } from '../../domain/projects/project.table.js';
import { formerNumbers } from '../../domain/tasks/former-number.table.js';
import { defaultSortOrder, type Gap, keyBetween } from '../../domain/tasks/sort-key.js';
import { taskLabels, taskPriority, taskStatus, tasks } from '../../domain/tasks/task.table.js';
import { taskRelations } from '../../domain/tasks/task-relation.table.js';
import { moveIntoTrash } from '../../domain/trash/move-into-trash.js';
import { users } from '../../domain/users/user.table.js';
import type { Transaction } from '../../engine/postgres/index.js';
import { DAY, HOUR } from '../../std/time.js';
import { EXAMPLE_COMMENT, EXAMPLE_INVITATION, EXAMPLE_TASK, hashOfNoToken } from './demo-example.js';
import { writeDemoHistory } from './demo-history.js';
import { writeDemoWebhook } from './demo-webhooks.js';

const SEED = 42;
const USERS = 12;
const TASKS_PER_PROJECT = 120;
const TRASHED_PER_PROJECT = 2;
const INVITED_FOR_MS = 14 * DAY;
/** Of a task that has moved to another project. */
const LAST_NUMBER = TASKS_PER_PROJECT + TRASHED_PER_PROJECT + 1;
const PROJECTS = [
  { key: 'OPS', name: 'Operations', description: 'Keeping it running.' },
  { key: 'WEB', name: 'Website', description: 'What customers see first.' },
  { key: 'APP', name: 'Mobile app', description: 'What they carry with them.' },
];
const ESTIMATES = [1, 2, 3, 5, 8];
/** From start to due date. */
const WORK_DAYS = 5;
/** One task of so many has several assignees. */
const SHARED_EVERY = 8;
const LABELS = [
  { name: 'bug', color: '#d73a4a', description: 'Something does not work' },
  { name: 'chore', color: '#8b949e', description: 'Has to be done' },
  { name: 'docs', color: '#0075ca', description: 'Words' },
  { name: 'feature', color: '#a2eeef', description: 'Something new' },
  { name: 'performance', color: '#fbca04', description: 'Faster' },
  { name: 'security', color: '#b60205', description: 'Safer' },
];

/** Identifies the lock among the application's advisory locks. */
const DEMO_LOCK = 7203_4411;

/** Does nothing if there is a user. @returns whether it wrote anything */
export async function fillWithDemoData(tx: Transaction, owner: string, nowMs: number): Promise<boolean> {
  await tx.execute(sql`select pg_advisory_xact_lock(${DEMO_LOCK})`); // two servers may start at once
  const [someone] = await tx.select({ id: users.id }).from(users).limit(1);
  if (someone !== undefined) return false;

  const demo = new DemoRows(nowMs);
  const people = demo.people(owner);
  await tx.insert(users).values(people);
  const inserted: InsertedProject[] = [];
  for (const project of PROJECTS) inserted.push(await insertProject(tx, demo, project, people));
  for (const project of inserted) await insertTrash(tx, demo, project);
  const [one, other] = inserted as [InsertedProject, InsertedProject];
  await tx.insert(formerNumbers).values({
    projectId: other.projectId,
    number: LAST_NUMBER,
    taskId: one.lastTaskId,
    until: iso(nowMs),
  });
  await insertExamples(tx, demo, one);
  await writeDemoHistory(tx);
  await writeDemoWebhook(tx, { projectId: one.projectId, taskId: one.lastTaskId, nowMs });
  return true;
}

interface InsertedProject {
  readonly projectId: ProjectId;
  readonly members: readonly Person[];
  readonly lastTaskId: TaskId;
}

async function insertProject(
  tx: Transaction,
  demo: DemoRows,
  project: (typeof PROJECTS)[number],
  people: readonly Person[],
): Promise<InsertedProject> {
  const row = demo.project(project);
  const projectId = row.id;
  await tx.insert(projects).values(row);
  const members = demo.members(people);
  await tx.insert(projectMembers).values(
    members.map(({ id: userId }, i) => ({
      projectId,
      userId,
      role: i === 0 ? ('OWNER' as const) : ('MEMBER' as const),
    })),
  );
  const own = demo.labels(projectId);
  await tx.insert(labels).values(own);
  await tx.insert(taskNumbers).values({ projectId, last: LAST_NUMBER });
  const rows = Array.from({ length: TASKS_PER_PROJECT }, (_, i) => demo.task(projectId, i + 1, members));
  if (project === PROJECTS[0]) Object.assign(rows.at(-1) as Task, EXAMPLE_TASK);
  await tx.insert(tasks).values(rows);
  await tx.insert(taskLabels).values(rows.flatMap((task) => demo.labelsOf(task, own)));
  await tx.insert(comments).values(rows.flatMap((task) => demo.commentsOn(task, members)));
  await tx.insert(taskRelations).values(relationsOf(rows));
  return { projectId, members, lastTaskId: (rows.at(-1) as Task).id };
}

/** Some tasks block the next one, some have something in common, and some that are canceled are duplicates. */
function relationsOf(rows: readonly Task[]) {
  return rows.flatMap((task, i) => {
    const next = rows[i + 1];
    const isDuplicate = task.status === 'CANCELED' && i % 2 === 0;
    const type = i % 8 === 1 ? ('BLOCKS' as const) : i % 8 === 5 ? ('RELATES_TO' as const) : undefined;
    if (next === undefined || (type === undefined && !isDuplicate)) return [];
    const isBackward = type === 'RELATES_TO' && next.id < task.id;
    const [from, to] = isBackward ? [next, task] : [task, next];
    const ends = { projectId: task.projectId, relatedProjectId: task.projectId };
    return [{ taskId: from.id, relatedTaskId: to.id, ...ends, type: type ?? ('DUPLICATE_OF' as const) }];
  });
}

/** Deleted tasks, for the trash of the project. */
async function insertTrash(tx: Transaction, demo: DemoRows, { projectId, members }: InsertedProject): Promise<void> {
  for (let i = 1; i <= TRASHED_PER_PROJECT; i++) {
    const task = demo.task(projectId, TASKS_PER_PROJECT + i, members);
    await tx.insert(tasks).values(task);
    await moveIntoTrash(tx, { removed: [{ id: task.id, subtaskIds: [] }], deletedBy: task.creatorId });
  }
}

/** After all others: the rows of the random sequence stay the same. */
async function insertExamples(tx: Transaction, demo: DemoRows, project: InsertedProject): Promise<void> {
  await tx.insert(comments).values(demo.exampleComment(project));
  await tx.insert(invitations).values(demo.exampleInvitation(project));
}

/** The place in the manual order after the task with this number. */
function placeAfter(number: number): Gap {
  return { after: defaultSortOrder(number), before: defaultSortOrder(number + 1) };
}

type Person = ReturnType<DemoRows['people']>[number];
type Task = ReturnType<DemoRows['task']>;

/** Makes the rows. One random sequence runs through all of them, so they depend on the order of the calls. */
class DemoRows {
  readonly #faker = new Faker({ locale: [en, base], seed: SEED });
  readonly #nowMs: number;
  readonly #today: number;
  /** The date of people, projects and labels. */
  readonly #beganMs: number;

  constructor(nowMs: number) {
    this.#nowMs = nowMs;
    this.#today = Math.floor(nowMs / DAY) * DAY;
    this.#beganMs = this.#today - 90 * DAY;
  }

  /** @param owner the handle of the first */
  people(owner: string) {
    return Array.from({ length: USERS }, (_, i) => {
      const name = i === 0 ? 'Ada Lovelace' : this.#faker.person.fullName();
      const handle = i === 0 ? owner : `${name.toLowerCase().replaceAll(/[^a-z]+/g, '.')}`;
      const email = `${handle.toLowerCase()}@example.com`;
      return { id: this.#id('user', this.#beganMs), handle, name, email, verifiedEmail: email, ...this.#began() };
    });
  }

  project(project: (typeof PROJECTS)[number]) {
    return { id: this.#id('project', this.#beganMs), ...project, ...this.#began() };
  }

  /** The first person and seven others. */
  members(people: readonly Person[]): Person[] {
    return [people[0] as Person, ...this.#faker.helpers.arrayElements(people.slice(1), 7)];
  }

  labels(projectId: ProjectId) {
    return LABELS.map((label) => ({ ...label, id: this.#id('label', this.#beganMs), projectId }));
  }

  task(projectId: ProjectId, number: number, members: readonly { id: UserId }[]) {
    const faker = this.#faker;
    const createdMs = this.#beganMs + Math.floor((number / TASKS_PER_PROJECT) * 85 * DAY) + faker.number.int(DAY - 1);
    const status = faker.helpers.arrayElement(taskStatus.enumValues);
    const doneMs = Math.min(createdMs + faker.number.int({ min: HOUR, max: 20 * DAY }), this.#nowMs);
    const changedMs = status === 'DONE' ? doneMs : createdMs;
    const task = {
      id: this.#id('task', createdMs),
      projectId,
      number,
      title: sentence(faker.hacker.phrase()),
      description: faker.helpers.maybe(() => faker.lorem.paragraphs(2)) ?? null,
      status,
      priority: faker.helpers.arrayElement(taskPriority.enumValues),
      assigneeId: faker.helpers.maybe(() => faker.helpers.arrayElement(members).id, { probability: 0.8 }) ?? null,
      creatorId: faker.helpers.arrayElement(members).id,
      dueDate: faker.helpers.maybe(() => this.#dueDate()) ?? null,
      createdAt: iso(createdMs),
      updatedAt: iso(changedMs),
      completedAt: status === 'DONE' ? iso(doneMs) : null,
      // Every 17th task has been moved up.
      sortOrder: number % 17 === 0 ? keyBetween(placeAfter(number % 16)) : null,
    };
    return { ...task, ...planOf(task, members) };
  }

  labelsOf({ projectId, id: taskId }: Task, labels: readonly { id: LabelId }[]) {
    const chosen = this.#faker.helpers.arrayElements(labels, { min: 0, max: 3 });
    return chosen.map(({ id: labelId }) => ({ projectId, taskId, labelId }));
  }

  commentsOn(task: Task, members: readonly { id: UserId }[]) {
    return Array.from({ length: this.#faker.number.int(4) }, (_, i) => {
      const atMs = Date.parse(task.createdAt) + (i + 1) * HOUR;
      return {
        id: this.#id('comment', atMs),
        taskId: task.id,
        authorId: this.#faker.helpers.arrayElement(members).id,
        body: this.#faker.lorem.sentences({ min: 1, max: 3 }),
        createdAt: iso(atMs),
        updatedAt: iso(atMs),
      };
    });
  }

  exampleComment({ lastTaskId: taskId, members }: InsertedProject) {
    const author = members.at(-1) as Person;
    const at = iso(this.#nowMs);
    return {
      id: this.#id('comment', this.#nowMs),
      taskId,
      authorId: author.id,
      body: EXAMPLE_COMMENT,
      createdAt: at,
      updatedAt: at,
    };
  }

  exampleInvitation({ projectId, members }: InsertedProject) {
    return {
      ...{ ...EXAMPLE_INVITATION, projectId, id: this.#id('invitation', this.#nowMs), tokenHash: hashOfNoToken() },
      invitedBy: (members[0] as Person).id,
      createdAt: iso(this.#nowMs),
      expiresAt: iso(this.#nowMs + INVITED_FOR_MS),
    };
  }

  /** Ids are as deterministic as the rest: a UUIDv7 made of a date and the faker's bytes. */
  #id<P extends string>(prefix: P, atMs: number): Id<P> {
    const bytes = Uint8Array.from({ length: 16 }, () => this.#faker.number.int(255));
    return newId(prefix, atMs, bytes);
  }

  #began() {
    return { createdAt: iso(this.#beganMs), updatedAt: iso(this.#beganMs) };
  }

  #dueDate(): string {
    return iso(this.#today + this.#faker.number.int({ min: -20, max: 40 }) * DAY).slice(0, 10);
  }
}

/** Drawn from the number: the random values of other fields stay as they are. */
function planOf(
  { number, assigneeId, dueDate }: { number: number; assigneeId: UserId | null; dueDate: string | null },
  members: readonly { id: UserId }[],
) {
  const others = [number, number + 1].map((n) => (members[n % members.length] as { id: UserId }).id);
  return {
    estimate: number % 3 === 0 ? null : (ESTIMATES[number % ESTIMATES.length] as number),
    startDate: dueDate === null || number % 2 === 0 ? null : iso(Date.parse(dueDate) - WORK_DAYS * DAY).slice(0, 10),
    otherAssigneeIds:
      assigneeId !== null && number % SHARED_EVERY === 0 ? others.filter((id) => id !== assigneeId) : [],
  };
}

function iso(atMs: number): string {
  return new Date(atMs).toISOString();
}

/** The faker's phrases end in ! or ?, which task titles do not. */
function sentence(phrase: string): string {
  return phrase.replace(/[!?]$/, '.').slice(0, 200);
}
