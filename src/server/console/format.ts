/** Numbers, times and sizes as the console writes them. */

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const hundredths = new Intl.NumberFormat('en', { maximumFractionDigits: 2 });
const clock = new Intl.DateTimeFormat('en', {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
});

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const KIB = 1024;
const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export const NONE = '–';

/** Three digits where the number is small: 0.42, 4.2, 42. */
export function number(value: number): string {
  if (value === 0) return '0';
  if (Math.abs(value) < 1) return hundredths.format(value);
  return (Math.abs(value) < 10 ? tenths : whole).format(value);
}

export function percent(fraction: number): string {
  // 99.96 % are not all.
  const rounded = Math.floor(fraction * 1000) / 10;
  return `${rounded === 100 || rounded < 10 ? tenths.format(rounded) : rounded.toFixed(1)} %`;
}

export function duration(ms: number): string {
  if (ms < SECOND) return `${number(ms)} ms`;
  if (ms < MINUTE) return `${tenths.format(ms / SECOND)} s`;
  if (ms < HOUR) return `${whole.format(ms / MINUTE)} min`;
  if (ms < 2 * DAY) return `${tenths.format(ms / HOUR)} h`;
  return `${whole.format(ms / DAY)} days`;
}

export function bytes(size: number): string {
  let unit = 0;
  let rest = size;
  while (rest >= KIB && unit < UNITS.length - 1) {
    rest /= KIB;
    unit++;
  }
  return `${unit === 0 ? whole.format(rest) : number(rest)} ${UNITS[unit]}`;
}

export function timeOfDay(at: string): string {
  return clock.format(new Date(at));
}

export function ago(at: string): string {
  const ms = Date.now() - Date.parse(at);
  return ms < SECOND ? 'just now' : `${duration(ms)} ago`;
}

export function plural(count: number, one: string, more = `${one}s`): string {
  return `${number(count)} ${count === 1 ? one : more}`;
}
