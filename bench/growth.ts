/** Whether a request costs the same on a large table as on a small one: hits of 1, 10 and 100 entries by 1 and 2 processes, and cold reads. */
import { cold, ENTRIES, nodesCell } from './cells.js';
import { contender } from './contender.js';
import { type Cell, within } from './measure.js';
import { type CellSummary, cellSummary } from './summary.js';
import type { Tasks, World } from './world.js';

export interface GrowthRow {
  /** `1 process, 10 entries` or `cold Q1`. */
  readonly what: string;
  readonly tasks: number;
  readonly cell: CellSummary;
}

export async function measureGrowth(options: {
  world: World;
  sizes: readonly Tasks[];
  rounds: number;
  seconds: number;
  seed: number;
  say: (line: string) => void;
}): Promise<GrowthRow[]> {
  const { world, sizes, rounds, seconds, seed, say } = options;
  const found = new Map<string, { what: string; tasks: number; cells: Cell[] }>();
  const note = (what: string, tasks: number, cell: Cell) => {
    const key = `${what}, ${tasks}`;
    const row = found.get(key) ?? { what, tasks, cells: [] };
    row.cells.push(cell);
    found.set(key, row);
  };
  for (let round = 0; round < rounds; round++) {
    for (const tasks of sizes) {
      const turn = { world, tasks, contender: contender('tasks-api'), answers: {}, seed: seed + round, seconds };
      await within(turn, async (running) => {
        for (const entries of ENTRIES)
          note(`1 process, ${counted(entries)}`, tasks.data.tasks, await running.measure(nodesCell(entries)));
        note('cold Q1', tasks.data.tasks, await running.measure(cold('Q1 cold', 'Q1', 'adjacent')));
        note('cold Q2', tasks.data.tasks, await running.measure(cold('Q2 cold', 'Q2')));
        await running.addProcess();
        for (const entries of ENTRIES)
          note(`2 processes, ${counted(entries)}`, tasks.data.tasks, await running.measure(nodesCell(entries)));
      });
      say(`growth: round ${round + 1}, ${tasks.data.tasks} tasks`);
    }
  }
  return [...found.values()].map(({ what, tasks, cells }) => ({ what, tasks, cell: cellSummary(cells) }));
}

const counted = (entries: number) => `${entries} ${entries === 1 ? 'entry' : 'entries'}`;
