/** Stacked areas over the last minutes, drawn by uPlot, with a legend that shows the values under the cursor. */
import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot, { type AlignedData, type Options } from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { number } from './format.js';

const HEIGHT = 200;
const AXIS_WIDTH = 44;
const MIN_WINDOW_S = 30;

export interface Series {
  readonly name: string;
  readonly label: string;
  readonly title?: string;
}

export interface ChartProps {
  readonly label: string;
  readonly unit: string;
  /** From the bottom up. */
  readonly series: readonly Series[];
  /** Seconds since 1970. */
  readonly times: readonly number[];
  /** By series, then by time. */
  readonly values: readonly (readonly number[])[];
}

export function StackedChart({ label, unit, series, times, values }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const [cursor, setCursor] = useState<number>();
  const [theme, setTheme] = useState(0);
  useEffect(() => redrawOnTheme(() => setTheme((count) => count + 1)), []);
  useEffect(() => {
    const element = place.current as HTMLDivElement;
    const made = new uPlot(optionsOf(element, series, setCursor), stacked(times, values), element);
    plot.current = made;
    const resized = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    resized.observe(element);
    return () => {
      resized.disconnect();
      made.destroy();
    };
  }, [theme]);
  useEffect(() => plot.current?.setData(stacked(times, values)), [times, values]);
  const at = cursor !== undefined && cursor < times.length ? cursor : times.length - 1;
  const now = series.map((_, i) => values[i]?.[at] ?? 0);
  const text = series.map(({ label }, i) => `${label} ${number(now[i] as number)}`).join(', ');
  return (
    <figure class="chart">
      <figcaption>
        <ul class="legend">
          {series.map(({ name, label, title }, i) => (
            <li key={name} title={title}>
              <span class={`swatch is-${name}`} aria-hidden="true" />
              {label} <b>{number(now[i] as number)}</b>
            </li>
          ))}
          <li class="unit">{unit}</li>
        </ul>
      </figcaption>
      <div ref={place} class="plot" role="img" aria-label={`${label}, ${unit}: ${text}`} />
    </figure>
  );
}

function redrawOnTheme(redraw: () => void): () => void {
  const system = matchMedia('(prefers-color-scheme: dark)');
  addEventListener('themechange', redraw);
  system.addEventListener('change', redraw);
  return () => {
    removeEventListener('themechange', redraw);
    system.removeEventListener('change', redraw);
  };
}

/** uPlot draws the first series first: the sum of all comes first, and each smaller sum covers its lower part. */
function stacked(times: readonly number[], values: readonly (readonly number[])[]): AlignedData {
  const sums: number[][] = [];
  let below: readonly number[] = times.map(() => 0);
  for (const one of values) {
    const sum = one.map((value, i) => value + (below[i] as number));
    sums.unshift(sum);
    below = sum;
  }
  return [[...times], ...sums];
}

function optionsOf(
  element: HTMLElement,
  series: readonly Series[],
  onCursor: (at: number | undefined) => void,
): Options {
  const colours = series.map(({ name }) => colourOf(element, `--${name}`)).reverse();
  const text = colourOf(element, '--muted');
  const grid = { stroke: colourOf(element, '--line'), width: 1 };
  const font = `12px ${getComputedStyle(element).fontFamily}`;
  return {
    width: element.clientWidth,
    height: HEIGHT,
    padding: [8, 16, 0, 0],
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { show: false }, y: false },
    hooks: { setCursor: [({ cursor }) => onCursor(cursor.idx ?? undefined)] },
    scales: {
      x: { range: windowOf },
      y: { range: (_, __, max) => [0, Math.max(1, (max ?? 0) * 1.1)] },
    },
    axes: [
      { stroke: text, grid: { show: false }, ticks: grid, font, size: 32, space: 70, values: '{HH}:{mm}:{ss}' },
      { stroke: text, grid, ticks: { show: false }, font, size: AXIS_WIDTH, values: (_, at) => at.map(number) },
    ],
    series: [{}, ...colours.map((colour) => ({ stroke: colour, fill: colour, width: 1, points: { show: false } }))],
  };
}

/** From the first value on, at least half a minute, at most the window. */
function windowOf({ data }: uPlot): [number, number] {
  const end = data[0].at(-1) ?? Date.now() / 1000;
  return [Math.min(data[0][0] ?? end, end - MIN_WINDOW_S), end];
}

/** Canvas cannot resolve variables and light-dark(). */
function colourOf(element: HTMLElement, variable: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${variable})`;
  element.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
