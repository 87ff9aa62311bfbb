/** A report as one picture: for each kind of request, what it costs each contender. */
import type { Report } from './bench.js';
import type { CellName } from './cells.js';
import { CONTENDERS } from './contender.js';
import { fixed, grouped } from './report.js';

const PANELS: readonly { cell: CellName; title: string }[] = [
  { cell: 'Q1', title: 'Q1: a task, its assignee and project' },
  { cell: 'Q2', title: 'Q2: 20 tasks with four nested fields' },
  { cell: 'Q3', title: 'Q3: statistics of a project' },
  { cell: 'mixed', title: 'Q1 60 %, Q2 20 %, Q3 15 %, writes 5 %' },
];
const COLOURS = { ours: '#2563eb', peer: '#94a3b8', limit: '#d4d4d8' } as const;

const WIDTH = 960;
const LABELS = 304;
const NAMES = 26;
const ROW = 22;
const BAR = 14;
const HEAD = 30;
const GAP = 20;
const TOP = 52;

export function chartOf(report: Report): string {
  const panels = PANELS.map((panel) => ({ ...panel, bars: barsOf(report, panel.cell) })).filter(
    ({ bars }) => bars.length > 0,
  );
  const height = panels.reduce((sum, { bars }) => sum + heightOf(bars), TOP) + NAMES;
  const parts: string[] = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="13">`,
    '<title>CPU of the server per request, of this server and of others</title>',
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    text(16, 28, 'CPU of the server, milliseconds per request', 'font-size="18" font-weight="600"'),
  ];
  let top = TOP;
  for (const { title, bars } of panels) {
    parts.push(text(16, top + 18, title, 'font-weight="600"'), ...drawn(bars, top + HEAD));
    top += heightOf(bars);
  }
  const { cpu, cores } = report.machine;
  const where = `${report.date.slice(0, 10)} · ${cpu}, ${cores} cores · 96 % hits, keys by Zipf's law · medians of ${report.settings.rounds} rounds`;
  parts.push(text(16, height - 12, where, 'fill="#64748b" font-size="12"'), '</svg>\n');
  return parts.join('\n');
}

interface Bar {
  readonly label: string;
  readonly kind: keyof typeof COLOURS;
  readonly value: number;
  readonly note: string;
}

/** One for each contender of which the cell was measured. */
function barsOf({ contenders }: Report, cell: CellName): Bar[] {
  return CONTENDERS.flatMap(({ name, kind }) => {
    const one = contenders[name];
    const value = one?.cells[cell]?.cpuMs;
    if (one === undefined || value === undefined) return [];
    const stale = cell === 'mixed' && one.atRest.checked ? one.stalePerMillion : undefined;
    const note = stale === undefined ? '' : stale === 0 ? ' · nothing stale' : ` · ${grouped(stale)} stale per million`;
    return [{ label: one.title, kind, value, note }];
  });
}

function heightOf(bars: readonly Bar[]): number {
  return HEAD + bars.length * ROW + GAP;
}

function drawn(bars: readonly Bar[], top: number): string[] {
  const scale = (WIDTH - LABELS - 200) / Math.max(...bars.map(({ value }) => value), 0.001);
  return bars.flatMap(({ label, kind, value, note }, row) => {
    const y = top + row * ROW;
    const weight = kind === 'ours' ? ' font-weight="600"' : '';
    return [
      text(LABELS - 8, y + 12, label, `text-anchor="end"${weight}`),
      `<rect x="${LABELS}" y="${y}" width="${Math.max(1, value * scale).toFixed(1)}" height="${BAR}" fill="${COLOURS[kind]}"/>`,
      text(LABELS + value * scale + 6, y + 12, `${fixed(value, 3)}${note}`, `fill="#475569"${weight}`),
    ];
  });
}

function text(x: number, y: number, of: string, attributes: string): string {
  const escaped = of.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<text x="${x.toFixed(1)}" y="${y}" ${attributes}>${escaped}</text>`;
}
