/** How labels are read: rows by id, and a project's list as ids with names. */
import { asc, sql } from 'drizzle-orm';
import type { LabelId, ProjectId } from '../../db/ids.js';
import { childrenSource, rowSource, type Source } from '../../db/sources.js';
import type { PageItem } from '../../graphql/page.js';
import { labelRows, labels } from './label.table.js';

export const labelById = rowSource('Label', labels, (id: LabelId) => labelRows.byId(id));

/** All labels of a project: it has tens of them. Ordered by code points, as `pageOf` compares names. */
export const labelsOfProject: Source<ProjectId, readonly PageItem<LabelId>[]> = childrenSource({
  name: 'ProjectLabels',
  shape: 'items',
  scope: 'public',
  tags: labelRows.byProject,
  table: labels,
  parent: labels.projectId,
  columns: { id: labels.id, name: labels.name },
  orderBy: asc(sql`${labels.name} collate "C"`),
  toValue: ({ id, name }: { readonly id: LabelId; readonly name: string }) => ({ id, sort: [name] }),
});
