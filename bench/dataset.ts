/**
 * The data that all contenders serve: teams of 11 users with 20 projects of 20 tasks each. A project holds as many tasks in a small table as in
 * a large one, so that what a request costs depends on the size of the table alone. Numbers name rows: task 1 is the first of project 1.
 */
import type { Sql } from 'postgres';
import { fromUuid, type Id } from '../src/db/ids.js';

export const TASKS_PER_PROJECT = 20;
const PROJECTS_PER_TEAM = 20;
const LABELS_PER_PROJECT = 5;
/** The first of a team is its viewer, who owns its projects; to the others tasks are assigned. */
const USERS_PER_TEAM = 11;
const TASKS_PER_TEAM = TASKS_PER_PROJECT * PROJECTS_PER_TEAM;

export interface Dataset {
  readonly tasks: number;
  readonly projects: number;
  readonly teams: number;
}

/** Of at least `tasks` tasks: teams are whole. */
export function datasetOf(tasks: number): Dataset {
  const teams = Math.ceil(tasks / TASKS_PER_TEAM);
  return { teams, projects: teams * PROJECTS_PER_TEAM, tasks: teams * TASKS_PER_TEAM };
}

const uuid = (kind: number, n: number) => `00000000-0000-7000-800${kind}-${String(n).padStart(12, '0')}`;
export const viewerId = (team: number): Id<'user'> => fromUuid('user', uuid(0, (team - 1) * USERS_PER_TEAM + 1));
export const projectId = (project: number): Id<'project'> => fromUuid('project', uuid(1, project));
export const taskId = (task: number): Id<'task'> => fromUuid('task', uuid(3, task));
/** `member` from 0 to 9. */
export const memberId = (team: number, member: number): Id<'user'> =>
  fromUuid('user', uuid(0, (team - 1) * USERS_PER_TEAM + 2 + member));

export const projectOfTask = (task: number): number => Math.ceil(task / TASKS_PER_PROJECT);
export const teamOfProject = (project: number): number => Math.ceil(project / PROJECTS_PER_TEAM);
export const teamOfTask = (task: number): number => teamOfProject(projectOfTask(task));

/** Into a migrated, empty database, by its owner; the triggers rest meanwhile. */
export async function fillDatabase(sql: Sql, { teams, projects, tasks }: Dataset): Promise<void> {
  const id = (kind: number, n: string) => `('00000000-0000-7000-800${kind}-' || lpad((${n})::text, 12, '0'))::uuid`;
  const team = (project: string) => `((${project} - 1) / ${PROJECTS_PER_TEAM})`;
  const tables = ['users', 'projects', 'project_members', 'labels', 'tasks', 'task_labels'];
  const triggers = (what: string) => tables.map((table) => `alter table ${table} ${what} trigger all;`).join('');
  await sql.unsafe(`
    ${triggers('disable')}
    insert into users (id, handle, name)
      select ${id(0, 'n')}, 'user' || n, 'User ' || n from generate_series(1, ${teams * USERS_PER_TEAM}) n;
    insert into projects (id, key, name) select ${id(1, 'n')}, 'P' || n, 'Project ' || n from generate_series(1, ${projects}) n;
    insert into task_numbers (project_id, last) select ${id(1, 'n')}, ${TASKS_PER_PROJECT} from generate_series(1, ${projects}) n;
    insert into project_members (project_id, user_id, role)
      select ${id(1, 'p')}, ${id(0, `${team('p')} * ${USERS_PER_TEAM} + u`)}, case u when 1 then 'OWNER' else 'MEMBER' end::project_role
      from generate_series(1, ${projects}) p, generate_series(1, ${USERS_PER_TEAM}) u;
    insert into labels (id, project_id, name, color)
      select ${id(2, `(p - 1) * ${LABELS_PER_PROJECT} + l`)}, ${id(1, 'p')}, 'label ' || l, '#112233'
      from generate_series(1, ${projects}) p, generate_series(1, ${LABELS_PER_PROJECT}) l;
    insert into tasks (id, project_id, number, title, description, status, priority, assignee_id, creator_id, due_date,
      created_at, updated_at, completed_at)
    select ${id(3, 'n')}, ${id(1, 'p')}, 1 + (n - 1) % ${TASKS_PER_PROJECT},
      'Task ' || n || ' ' || (array['boiler','kettle','door','roof'])[1 + n % 4], 'Words about ' || md5(n::text), status,
      (enum_range(null::task_priority))[1 + n % 5], ${id(0, `${team('p')} * ${USERS_PER_TEAM} + 2 + n % ${USERS_PER_TEAM - 1}`)},
      ${id(0, `${team('p')} * ${USERS_PER_TEAM} + 1`)}, case when n % 2 = 0 then date '2026-01-01' + n % 365 end, at, at,
      case when status = 'DONE' then at + interval '1 day' end
    from (
      select n, 1 + (n - 1) / ${TASKS_PER_PROJECT} as p, (enum_range(null::task_status))[1 + n % 6] as status,
        timestamptz '2026-01-01' + n * interval '1 second' as at
      from generate_series(1, ${tasks}) n
    ) as s;
    insert into task_labels (project_id, task_id, label_id)
      select ${id(1, 'p')}, ${id(3, 'n')}, ${id(2, `(p - 1) * ${LABELS_PER_PROJECT} + 1 + (n + l) % ${LABELS_PER_PROJECT}`)}
      from (select n, 1 + (n - 1) / ${TASKS_PER_PROJECT} as p from generate_series(1, ${tasks}) n) as t, generate_series(0, 1) l;
    ${triggers('enable')}
    ${tables.map((table) => restored(table)).join('')}
    analyze`);
}

/** `enable` makes an ordinary trigger of each; the migrations made ours fire always. */
function restored(table: string): string {
  return `do $$ declare name text; begin
    for name in select tgname from pg_trigger where tgrelid = '${table}'::regclass and not tgisinternal loop
      execute format('alter table ${table} enable always trigger %I', name);
    end loop; end $$;`;
}
