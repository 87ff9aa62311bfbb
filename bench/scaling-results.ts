/** What `npm run bench:scaling` measures, as results/scaling.json holds it. */

export interface ScalingResults {
  readonly date: string;
  readonly machine: { readonly cpu: string; readonly cores: number; readonly redis: string };
  readonly redis: RedisCosts;
  readonly loads: LoadResults;
}

export interface StepCost {
  /** CPU of Redis, µs per step. */
  readonly redisUs: number;
  /** The part of it that executes commands. The rest is the network: system calls, parsing, replies. */
  readonly executionUs: number;
  /** CPU of the process that calls, µs per step. */
  readonly callerUs: number;
  readonly commands: number;
  /** Steps a second that were reached, and the share of a core that Redis used meanwhile. */
  readonly perSecond: number;
  readonly busy: number;
}

export interface RedisCosts {
  readonly steps: Readonly<Record<StepName, StepCost>>;
  readonly entries: {
    readonly count: number;
    readonly textChars: number;
    /** With the tokens of their tags. */
    readonly bytes: number;
    readonly commands: Readonly<Record<string, number>>;
  };
}

export type StepName =
  | 'log read, 1 connection, 1 at a time'
  | 'log read, 1 connection, 64 at a time'
  | 'log read, 64 connections'
  | 'log read, 64 plain sockets'
  | 'log read, 8 plain sockets, 16 at a time'
  | 'log read, 64 connections, 10 records'
  | 'log read, 64 connections, 100 records'
  | 'entry with its tokens, 64 connections'
  | 'fence, 64 connections'
  | 'release, 64 connections'
  | 'fence without tags, 64 connections'
  | 'release without tags, 64 connections'
  | 'fill of 1 entry, 64 connections'
  | 'fill of 28 entries, 64 connections';

export type LoadKind = 'hits' | 'mixed';

export interface Load {
  readonly kind: LoadKind;
  readonly processes: number;
  /** Requests a second, of all processes together. */
  readonly rate: number;
}

export interface LoadFigures {
  readonly requests: number;
  readonly perSecond: number;
  /** Calls of XREAD. */
  readonly logReadsPerRequest: number;
  /** µs per request, ticks of the relay included. */
  readonly redisUs: number;
  readonly processUs: number;
  /** Utilization of the generator's event loop. */
  readonly generatorBusy: number;
  /** Requests that the generator sent at once, on average. */
  readonly burst: number;
}

export type LoneKind = 'kept' | 'fresh' | 'write' | 'mixed';

export interface LoadResults {
  readonly lone: Readonly<Record<LoneKind, LoadFigures>>;
  /** Kept answers, asked for by as many clients at once as the generator can serve. */
  readonly busy: LoadFigures;
  /** CPU of Redis, µs a second, while 1 and 4 processes get hardly any requests: ticks of the relay. */
  readonly idle: { readonly of1Us: number; readonly of4Us: number };
  readonly loads: readonly (Load & LoadFigures)[];
}
