/** Lists of the users who share one of some projects, sorted by name in code point order. */
import { type SQL, sql } from 'drizzle-orm';
import { uuids } from '../../db/by-id.js';
import { fromUuid, type ProjectId, toUuid, type UserId } from '../../db/ids.js';
import { behindSql, orderBySql, placeSql, reversed, type SortColumn, selectPages } from '../../db/page-sql.js';
import { ROW_TTL_MS, type Source } from '../../db/sources.js';
import type { Tag } from '../../engine/cache/index.js';
import { type Page, type PageQuery, type SortValues, toPage } from '../../graphql/page.js';
import { userRows, userState, users } from '../users/user.table.js';
import { memberRows, projectMembers } from './project.table.js';

export interface PeopleList {
  /** Only projects that the viewer can see; sorted. */
  readonly projectIds: readonly ProjectId[];
  /** The viewer without projects, who is alone in the list; else null, so that viewers of the same projects share it. */
  readonly alone: UserId | null;
  /** The beginning of the handle or the name, whatever its case; null for all users. */
  readonly search: string | null;
}

export interface PeoplePageQuery extends PageQuery {
  readonly list: PeopleList;
}

/** The members of the projects decide who is in the list; the names of all users, who matches and in which order. */
function tagsOf({ projectIds }: PeopleList): Tag[] {
  const names = userState.enumValues.flatMap((state) => userRows.namesByState(state));
  return [...new Set([...names, ...projectIds.flatMap((id) => memberRows.byProject(id))])];
}

/** Heavy: it reads every membership in these projects. */
export const peoplePages: Source<PeoplePageQuery, Page<UserId>> = {
  name: 'PeoplePage',
  shape: 'page',
  ttlMs: ROW_TTL_MS,
  scope: 'public',
  heavy: true,
  tags: ({ list }) => tagsOf(list),
  load: async (queries, db) => {
    const pages = await selectPages(db.read, queries.map(pageSql));
    return pages.map((rows, i) =>
      toPage(
        rows.map(({ id, sort }) => ({ id: fromUuid('user', id), sort })),
        queries[i] as PeoplePageQuery,
      ),
    );
  },
};

export const peopleCounts: Source<PeopleList, number> = {
  name: 'PeopleCount',
  shape: 'count',
  ttlMs: ROW_TTL_MS,
  scope: 'public',
  heavy: true,
  tags: tagsOf,
  load: async (lists, db) => {
    const counts = lists.map((list) => sql`(${countSql(list)})`);
    const [found] = await db.read.execute<{ counts: number[] }>(
      sql`select json_build_array(${sql.join(counts, sql`, `)}) as counts`,
    );
    return (found as { counts: number[] }).counts;
  },
};

const ORDER: readonly SortColumn[] = [
  { column: sql`${users.name} collate "C"`, type: 'text', descending: false },
  { column: sql`${users.id}`, type: 'uuid', descending: false },
];

function pageSql({ list, limit, backward, after, before }: PeoplePageQuery): SQL {
  const columns = backward ? reversed(ORDER) : ORDER;
  const conditions = [
    listedSql(list),
    ...(after === null ? [] : [behindSql(ORDER, uuidPlace(after))]),
    ...(before === null ? [] : [behindSql(reversed(ORDER), uuidPlace(before))]),
  ];
  const sorted = orderBySql(columns);
  return sql`
    select ${users.id} as id, ${placeSql(ORDER.slice(0, -1))} as sort, row_number() over (order by ${sorted}) as place
    from ${users} where ${sql.join(conditions, sql` and `)} order by ${sorted} limit ${limit + 1}`;
}

function countSql(list: PeopleList): SQL {
  const { projectId, userId } = projectMembers;
  if (list.search !== null || list.alone !== null) return sql`select count(*) from ${users} where ${listedSql(list)}`;
  return sql`select count(distinct ${userId}) from ${projectMembers} where ${projectId} = any(${uuids(list.projectIds)})`;
}

/** The memberships come first: in the order of names, all users would be searched for the members of a small project. */
function listedSql({ projectIds, alone, search }: PeopleList): SQL {
  const { projectId, userId } = projectMembers;
  const members = sql`select distinct ${userId} from ${projectMembers} where ${projectId} = any(${uuids(projectIds)})`;
  const listed = alone === null ? sql`${users.id} = any(array(${members}))` : sql`${users.id} = ${toUuid(alone)}`;
  if (search === null) return listed;
  const pattern = `${search.replaceAll(/[\\%_]/g, '\\$&')}%`;
  return sql`${listed} and (${users.name} ilike ${pattern} or ${users.handle} ilike ${pattern})`;
}

function uuidPlace(place: SortValues): SortValues {
  return [...place.slice(0, -1), toUuid(place.at(-1) as UserId)];
}
