/** A report as one picture: for each kind of request, what it costs each contender. */
import type { Report } from './bench.js';
import { CONTENDERS } from './contender.js';
import type { CellName } from './measure.js';
import { fixed, grouped } from './report.js';

const PANELS: readonly { cell: CellName; title: string }[] = [
  { cell: 'Q1', title: 'Q1: a task, its assignee and project' },
  { cell: 'Q2', title: 'Q2: 20 tasks with four nested fields' },
  { cell: 'Q3', title: 'Q3: statistics of a project' },
  { cell: 'mixed', title: 'Q1 60 %, Q2 20 %, Q3 15 %, writes 5 %' },
];
const COLOURS = { ours: '#2563eb', peer: '#94a3b8', limit: '#d4d4d8' } as const;

const WIDTH = 960;
const LABELS = 232;
const NAMES = 26;
const ROW = 22;
const BAR = 14;
const HEAD = 30;
const GAP = 20;
const TOP = 52;

export function chartOf(report: Report): string {
  const shown = CONTENDERS.filter(({ name }) => report.contenders[name] !== undefined);
  const panelHeight = HEAD + shown.length * ROW + GAP;
  const height = TOP + PANELS.length * panelHeight + NAMES;
  const parts: string[] = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="13">`,
    '<title>CPU of the server per request, of this server and of others</title>',
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    text(16, 28, 'CPU of the server, milliseconds per request', 'font-size="18" font-weight="600"'),
  ];
  PANELS.forEach(({ cell, title }, i) => {
    const top = TOP + i * panelHeight;
    const values = shown.map(({ name }) => report.contenders[name]?.cells[cell]?.cpuMs ?? 0);
    const scale = (WIDTH - LABELS - 200) / Math.max(...values, 0.001);
    parts.push(text(16, top + 18, title, 'font-weight="600"'));
    shown.forEach(({ name, title: label, kind }, row) => {
      const y = top + HEAD + row * ROW;
      const value = values[row] as number;
      const one = report.contenders[name];
      const stale = cell === 'mixed' && one?.atRest.checked ? one.stalePerMillion : undefined;
      const note =
        stale === undefined ? '' : stale === 0 ? ' · nothing stale' : ` · ${grouped(stale)} stale per million`;
      const weight = kind === 'ours' ? ' font-weight="600"' : '';
      parts.push(
        text(LABELS - 8, y + 12, label, `text-anchor="end"${weight}`),
        `<rect x="${LABELS}" y="${y}" width="${Math.max(1, value * scale).toFixed(1)}" height="${BAR}" fill="${COLOURS[kind]}"/>`,
        text(LABELS + value * scale + 6, y + 12, `${fixed(value, 3)}${note}`, `fill="#475569"${weight}`),
      );
    });
  });
  const { cpu, cores } = report.machine;
  const where = `${report.date.slice(0, 10)} · ${cpu}, ${cores} cores · 96 % hits, keys by Zipf's law · medians of ${report.settings.rounds} rounds`;
  parts.push(text(16, height - 12, where, 'fill="#64748b" font-size="12"'), '</svg>\n');
  return parts.join('\n');
}

function text(x: number, y: number, of: string, attributes: string): string {
  const escaped = of.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<text x="${x.toFixed(1)}" y="${y}" ${attributes}>${escaped}</text>`;
}
