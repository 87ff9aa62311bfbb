/**
 * Demo data for an empty database: the same people, projects, tasks and comments every time, dated relative to today so
 * that the statistics are not empty.
 */
import { base, en, Faker } from '@faker-js/faker';
import { sql } from 'drizzle-orm';
import { type Id, newId, type ProjectId, type UserId } from '../../db/ids.js';
import { comments } from '../../domain/comments/comment.table.js';
import { labels } from '../../domain/labels/label.table.js';
import { projectMembers, projects, taskNumbers } from '../../domain/projects/project.table.js';
import { taskLabels, taskPriority, taskStatus, tasks } from '../../domain/tasks/task.table.js';
import { users } from '../../domain/users/user.table.js';
import type { Transaction } from '../../engine/postgres/index.js';
import { DAY, HOUR } from '../../std/time.js';

const SEED = 42;
const USERS = 12;
const TASKS_PER_PROJECT = 120;
const PROJECTS = [
  { key: 'OPS', name: 'Operations', description: 'Keeping it running.' },
  { key: 'WEB', name: 'Website', description: 'What customers see first.' },
  { key: 'APP', name: 'Mobile app', description: 'What they carry with them.' },
];
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

  const faker = new Faker({ locale: [en, base], seed: SEED });
  const today = Math.floor(nowMs / DAY) * DAY;
  /** Ids are as deterministic as the rest: a UUIDv7 made of a date and the faker's bytes. */
  const id = <P extends string>(prefix: P, atMs: number): Id<P> =>
    newId(
      prefix,
      atMs,
      Uint8Array.from({ length: 16 }, () => faker.number.int(255)),
    );
  const iso = (atMs: number) => new Date(atMs).toISOString();
  const began = today - 90 * DAY;

  const people = Array.from({ length: USERS }, (_, i) => {
    const name = i === 0 ? 'Ada Lovelace' : faker.person.fullName();
    const handle = i === 0 ? owner : `${name.toLowerCase().replaceAll(/[^a-z]+/g, '.')}`;
    return { id: id('user', began), handle, name, createdAt: iso(began), updatedAt: iso(began) };
  });
  await tx.insert(users).values(people);

  for (const project of PROJECTS) {
    const projectId = id('project', began);
    await tx.insert(projects).values({ id: projectId, ...project, createdAt: iso(began), updatedAt: iso(began) });
    const members = [people[0], ...faker.helpers.arrayElements(people.slice(1), 7)] as typeof people;
    await tx.insert(projectMembers).values(
      members.map(({ id: userId }, i) => ({
        projectId,
        userId,
        role: i === 0 ? ('OWNER' as const) : ('MEMBER' as const),
      })),
    );
    const own = LABELS.map((label) => ({ ...label, id: id('label', began), projectId }));
    await tx.insert(labels).values(own);
    await tx.insert(taskNumbers).values({ projectId, last: TASKS_PER_PROJECT });
    const rows = Array.from({ length: TASKS_PER_PROJECT }, (_, i) => taskRow(projectId, i + 1, members));
    await tx.insert(tasks).values(rows);
    await tx
      .insert(taskLabels)
      .values(
        rows.flatMap(({ id: taskId }) =>
          faker.helpers
            .arrayElements(own, { min: 0, max: 3 })
            .map(({ id: labelId }) => ({ projectId, taskId, labelId })),
        ),
      );
    await tx.insert(comments).values(rows.flatMap((task) => commentRows(task, members)));
  }
  return true;

  function taskRow(projectId: ProjectId, number: number, members: readonly { id: UserId }[]) {
    const createdMs = began + Math.floor((number / TASKS_PER_PROJECT) * 85 * DAY) + faker.number.int(DAY - 1);
    const status = faker.helpers.arrayElement(taskStatus.enumValues);
    const doneMs = Math.min(createdMs + faker.number.int({ min: HOUR, max: 20 * DAY }), nowMs);
    const changedMs = status === 'DONE' ? doneMs : createdMs;
    return {
      id: id('task', createdMs),
      projectId,
      number,
      title: sentence(faker.hacker.phrase()),
      description: faker.helpers.maybe(() => faker.lorem.paragraphs(2)) ?? null,
      status,
      priority: faker.helpers.arrayElement(taskPriority.enumValues),
      assigneeId: faker.helpers.maybe(() => faker.helpers.arrayElement(members).id, { probability: 0.8 }) ?? null,
      creatorId: faker.helpers.arrayElement(members).id,
      dueDate:
        faker.helpers.maybe(() => iso(today + faker.number.int({ min: -20, max: 40 }) * DAY).slice(0, 10)) ?? null,
      createdAt: iso(createdMs),
      updatedAt: iso(changedMs),
      completedAt: status === 'DONE' ? iso(doneMs) : null,
    };
  }

  function commentRows(task: ReturnType<typeof taskRow>, members: readonly { id: UserId }[]) {
    return Array.from({ length: faker.number.int(4) }, (_, i) => {
      const atMs = Date.parse(task.createdAt) + (i + 1) * HOUR;
      return {
        id: id('comment', atMs),
        taskId: task.id,
        authorId: faker.helpers.arrayElement(members).id,
        body: faker.lorem.sentences({ min: 1, max: 3 }),
        createdAt: iso(atMs),
        updatedAt: iso(atMs),
      };
    });
  }
}

/** The faker's phrases end in ! or ?, which task titles do not. */
function sentence(phrase: string): string {
  return phrase.replace(/[!?]$/, '.').slice(0, 200);
}
