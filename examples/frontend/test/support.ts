/** A project of seven tasks on the started API, and a fetch that counts. */
import { randomInt } from 'node:crypto';
import { beforeAll, inject } from 'vitest';
import { ask, type Viewer } from './ask.js';

const TASKS = 7;

/** Titles of the project's tasks, the newest first: the order of the server. */
export const newestFirst = Array.from({ length: TASKS }, (_, i) => `Task ${TASKS - i}`);

export interface Task {
  readonly id: string;
  readonly title: string;
}

export interface World {
  /** Owner of the project. */
  readonly ada: Viewer;
  /** A member of it. */
  readonly bob: Viewer;
  /** Ada, to whom all tasks are assigned. */
  readonly assignee: { readonly id: string; readonly name: string };
  readonly project: { readonly id: string; readonly key: string };
  /** In the order in which they were created. */
  readonly tasks: readonly Task[];
}

const CREATE_PROJECT =
  'mutation($input: CreateProjectInput!) { createProject(input: $input) { project { id key } errors { message } } }';
const ADD_MEMBER = 'mutation($input: AddMemberInput!) { addMember(input: $input) { errors { message } } }';
const CREATE_TASK =
  'mutation($input: CreateTaskInput!) { createTask(input: $input) { task { id title } errors { message } } }';
const DELETE_TASK = 'mutation($input: DeleteTaskInput!) { deleteTask(input: $input) { errors { message } } }';
const UPDATE_PROJECT = 'mutation($input: UpdateProjectInput!) { updateProject(input: $input) { errors { message } } }';
const CREATE_LABEL = 'mutation($input: CreateLabelInput!) { createLabel(input: $input) { errors { message } } }';
const UPDATE_MEMBER = 'mutation($input: UpdateMemberInput!) { updateMember(input: $input) { errors { message } } }';
const RENAME = 'mutation($input: UpdateTaskInput!) { updateTask(input: $input) { errors { message } } }';

/** Set before the first test of a file; each file has a project of its own. */
export function world(): World {
  const world = {} as { -readonly [K in keyof World]: World[K] };
  beforeAll(async () => {
    const { ada, bob } = inject('tokens');
    world.ada = { url: inject('url'), token: ada };
    world.bob = { url: inject('url'), token: bob };
    const { viewer } = await ask<{ viewer: World['assignee'] }>(world.ada, '{ viewer { id name } }');
    world.assignee = viewer;
    const key = `F${randomInt(1e8)}`;
    world.project = (await mutate(world.ada, CREATE_PROJECT, { key, name: 'Frontend' }))['project'] as World['project'];
    const member = { projectId: world.project.id, handle: inject('bobsHandle'), role: 'MEMBER' };
    await mutate(world.ada, ADD_MEMBER, member);
    const tasks: Task[] = [];
    for (let i = 1; i <= TASKS; i++) {
      const input = { projectId: world.project.id, title: `Task ${i}`, assigneeId: viewer.id };
      tasks.push((await mutate(world.ada, CREATE_TASK, input))['task'] as Task);
    }
    world.tasks = tasks;
  });
  return world;
}

/** @throws when it is refused */
async function mutate(viewer: Viewer, mutation: string, input: object): Promise<Record<string, unknown>> {
  const data = await ask<Record<string, Record<string, unknown> & { errors: unknown[] }>>(viewer, mutation, { input });
  const [payload] = Object.values(data);
  if (payload === undefined || payload.errors.length > 0) throw new Error(`refused: ${JSON.stringify(payload)}`);
  return payload;
}

/** As a client of ada's needs it; `requests` counts what went over the wire. */
export function connection({ ada }: World) {
  const counted = { requests: 0 };
  const counting: typeof fetch = (...request) => {
    counted.requests += 1;
    return fetch(...request);
  };
  return { counted, options: { ...ada, fetch: counting } };
}

/** The project's task n. */
export function taskOf({ tasks }: World, number: number): Task {
  const task = tasks[number - 1];
  if (task === undefined) throw new Error(`expected a number from 1 to ${TASKS}, not ${number}`);
  return task;
}

/** Someone else changes the task first. */
export async function bobRenames({ bob }: World, id: string, title: string): Promise<void> {
  await mutate(bob, RENAME, { id, title });
}

export async function bobCreates({ bob, project }: World, title: string): Promise<Task> {
  return (await mutate(bob, CREATE_TASK, { projectId: project.id, title }))['task'] as Task;
}

/** Ada changes what a board shows besides tasks, in another window: the name, a new label, and bob's role. */
export async function adaChangesProject(
  { ada, project }: World,
  { name, label, role }: { readonly name?: string; readonly label?: string; readonly role?: 'MEMBER' | 'VIEWER' },
): Promise<void> {
  const projectId = project.id;
  if (name !== undefined) await mutate(ada, UPDATE_PROJECT, { id: projectId, name });
  if (label !== undefined) await mutate(ada, CREATE_LABEL, { projectId, name: label, color: '#336699' });
  if (role !== undefined) await mutate(ada, UPDATE_MEMBER, { projectId, userId: await bobsId({ ada, project }), role });
}

async function bobsId({ ada, project }: Pick<World, 'ada' | 'project'>): Promise<string> {
  const document = 'query($id: ID!) { project(id: $id) { members { nodes { id handle } } } }';
  type Members = { project: { members: { nodes: { id: string; handle: string }[] } } };
  const { nodes } = (await ask<Members>(ada, document, { id: project.id })).project.members;
  return nodes.find(({ handle }) => handle === inject('bobsHandle'))?.id as string;
}

export async function bobDeletes({ bob }: World, id: string): Promise<void> {
  await mutate(bob, DELETE_TASK, { id });
}
