/** The origin of a write, as far as writing itself needs it. Commands, which serve no requests, write without one. */
import type { ReadSet } from '../cache/index.js';
import type { WriteProgress } from './write-progress.js';

export interface Writer<Id extends string = string> {
  /** Its writes wait in one line, and have one share of the connections. */
  readonly viewerId: Id;
  /** A write that has not begun when it aborts never begins. Absent: it waits as long as it takes. */
  readonly signal?: AbortSignal | undefined;
  /** What the same request reads afterwards sees its writes, also from process memory. */
  readonly readSet?: ReadSet | undefined;
  readonly writes?: WriteProgress | undefined;
}
