/** The origin of a write. Commands, which serve no requests, write without one. */
import type { ReadSet } from '../cache/index.js';
import type { WriteProgress } from './write-progress.js';

export interface Writer<Id extends string = string> {
  /** Its writes share one line and one share of the connections. */
  readonly viewerId: Id;
  /** A write that has not begun when this aborts never begins. Absent: it waits as long as needed. */
  readonly signal?: AbortSignal | undefined;
  /** Later reads of the same request see its writes, from process memory too. */
  readonly readSet?: ReadSet | undefined;
  readonly writes?: WriteProgress | undefined;
}
