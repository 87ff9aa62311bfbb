/** The cells of the benchmark: what a contender is asked while one figure of it is taken. */
import {
  FRESH_SHARE,
  type FreshOrder,
  MIXED,
  type Mix,
  type Operation,
  type ReadKind,
  type Workload,
} from './workload.js';

/** Of a closed loop. */
export const CLIENTS = 32;
/** Of the fresh keys. */
const WARM_UP_LEAVES = 2 / 3;
const READ_KINDS = ['Q1', 'Q2', 'Q3'] as const;

export type CellName =
  | 'Q1'
  | 'Q2'
  | 'Q3'
  | 'mixed'
  | 'mixed, open loop'
  | 'Q1 hits'
  | 'Q2 hits'
  | 'Q1 cold'
  | 'Q2 cold'
  | 'Q1 run'
  | 'Q2 run'
  | 'writes'
  | 'nodes 1'
  | 'nodes 10'
  | 'nodes 100'
  | 'mixed, 2 processes'
  | 'races, 2 processes';

export interface CellSpec {
  readonly name: CellName;
  readonly next: (workload: Workload) => Operation | undefined;
  readonly warmUp: (workload: Workload) => Operation;
  readonly clients: number;
  /** Open loop: arrivals a second. */
  readonly rate?: number;
}

const leavesMost = (workload: Workload, kind: ReadKind) => workload.left(kind) > workload.size(kind) * WARM_UP_LEAVES;

/** `fresh`: the share of reads for keys that were not asked for before. */
const mix = (name: CellName, of: Mix, fresh: number): CellSpec => ({
  name,
  next: (workload) => workload.next(of, fresh),
  // The same, as long as that leaves most of the fresh keys: a server runs for days, and the way of a miss is warm, too.
  warmUp: (workload) => workload.next(of, READ_KINDS.every((kind) => leavesMost(workload, kind)) ? fresh : 0),
  clients: CLIENTS,
});
/** Its warm-up takes fresh keys, too, as it is another way through a server, but leaves most of them. */
export const cold = (name: CellName, kind: 'Q1' | 'Q2', order: FreshOrder = 'scattered'): CellSpec => {
  const fresh = (workload: Workload) => workload.fresh(kind, order);
  return {
    name,
    next: (workload) => (workload.left(kind) > 0 ? fresh(workload) : undefined),
    warmUp: (workload) => (leavesMost(workload, kind) ? fresh(workload) : workload.next({ [kind]: 1 }, 0)),
    clients: CLIENTS,
  };
};

/** Each body differs from all others in a member that nothing reads: no response is known, all rows are in process memory. */
export const runCell = (kind: 'Q1' | 'Q2'): CellSpec => {
  let asked = 0;
  const next = (workload: Workload): Operation => ({ ...workload.next({ [kind]: 1 }, 0), unlike: ++asked });
  return { name: `${kind} run`, next, warmUp: next, clients: CLIENTS };
};

/** How many entries a request of the cells of growth is answered from. */
export const ENTRIES = [1, 10, 100] as const;

/** Hits of as many entries. */
export function nodesCell(entries: (typeof ENTRIES)[number]): CellSpec {
  const next = (workload: Workload) => workload.nodes(entries);
  return { name: `nodes ${entries}`, next, warmUp: next, clients: CLIENTS };
}

/** Writes alone wait for each other's rows: fewer at once. */
const WRITERS = 4;

/** All that is asked of a contender, in the shares of the mixed load: by this its processes become warm. */
export function typicalCell(cells: readonly CellName[], reads: readonly ReadKind[]): CellSpec {
  if (cells.includes('mixed')) return mix('mixed', MIXED, FRESH_SHARE);
  return mix('mixed', Object.fromEntries(reads.map((kind) => [kind, MIXED[kind]])), FRESH_SHARE);
}

/** By their names, in the order in which they are measured. `rate`: arrivals a second of the open loop. */
export function cellsOf(names: readonly CellName[], rate: number): CellSpec[] {
  const all = [
    mix('Q1', { Q1: 1 }, FRESH_SHARE),
    mix('Q2', { Q2: 1 }, FRESH_SHARE),
    mix('Q3', { Q3: 1 }, FRESH_SHARE),
    mix('Q1 hits', { Q1: 1 }, 0),
    mix('Q2 hits', { Q2: 1 }, 0),
    mix('mixed', MIXED, FRESH_SHARE),
    { ...mix('mixed, open loop', MIXED, FRESH_SHARE), rate },
    runCell('Q1'),
    runCell('Q2'),
    // Last, when what loads is as warm as what hits.
    cold('Q1 cold', 'Q1'),
    cold('Q2 cold', 'Q2'),
    { ...mix('writes', { write: 1 }, 0), clients: WRITERS },
  ];
  return all.filter(({ name }) => names.includes(name));
}

/** With two processes: measured apart from the others, after a second process was added. */
export const MIXED_BY_TWO = mix('mixed, 2 processes', MIXED, FRESH_SHARE);
