/** Reads of labels: rows by id, and the list of a project as ids with names. */
import { asc, sql } from 'drizzle-orm';
import { grouped } from '../../db/by-id.js';
import { type LabelId, type ProjectId, toUuid } from '../../db/ids.js';
import type { Source } from '../../db/row-source.js';
import { ROW_TTL_MS, rowSource } from '../../db/row-source.js';
import type { PageItem } from '../../graphql/page.js';
import { labelRows, labels } from './label.table.js';

export const labelById = rowSource('Label', labels, (id: LabelId) => labelRows.byId(id));

/** All labels of a project, which has tens of them. Sorted by code points, as `pageOf` compares names. */
export const labelsOfProject: Source<ProjectId, readonly PageItem<LabelId>[]> = {
  name: 'ProjectLabels',
  shape: 'items',
  ttlMs: ROW_TTL_MS,
  scope: 'public',
  tags: (projectId) => labelRows.byProject(projectId),
  load: async (projectIds, db) => {
    const statement = db.prepared('labels_of_project', (read, name) =>
      read
        .select({ projectId: labels.projectId, id: labels.id, name: labels.name })
        .from(labels)
        .where(sql`${labels.projectId} = any(${sql.placeholder('ids')}::uuid[])`)
        .orderBy(asc(sql`${labels.name} collate "C"`))
        .prepare(name),
    );
    const rows = await statement.execute({ ids: projectIds.map(toUuid) });
    return grouped(projectIds, rows, ({ projectId }) => projectId).map((of) =>
      of.map(({ id, name }) => ({ id, sort: [name] })),
    );
  },
};
