/** The exports that links name, ready to be served. */

import { ExportSnapshot } from './export.repository.js';
import type { ExportLinks } from './export-links.js';
import { type ExportFormat, exportText } from './export-text.js';

const CONTENT_TYPES: Readonly<Record<ExportFormat, string>> = {
  jsonl: 'application/jsonl; charset=utf-8',
  csv: 'text/csv; charset=utf-8; header=present',
};

/** @returns reads a link: undefined if it is not valid */
export function signedExports(links: ExportLinks, databaseUrl: string) {
  return (text: string) => {
    const link = links.read(text);
    if (link === undefined) return undefined;
    const { projectId, viewerId, format } = link;
    return {
      viewerId,
      async open() {
        const snapshot = await ExportSnapshot.open(databaseUrl, { projectId, viewerId });
        return (
          snapshot && {
            fileName: `${snapshot.project.key}-${new Date().toISOString().slice(0, 10)}.${format}`,
            contentType: CONTENT_TYPES[format],
            text: exportText(snapshot, { format }),
            close: () => snapshot.close(),
          }
        );
      },
    };
  };
}
