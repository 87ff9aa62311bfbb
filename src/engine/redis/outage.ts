/**
 * For how long Redis has taken no writes from this process, for one group. A write may commit without a fence only when
 * that is LEASE_MS or more: until then a reader may hold a lease that proves an old value.
 *
 * Two outages are counted, because different things end them. A server that does not answer is back with its first
 * answer. A server that answers but refuses writes (full, read-only, short of replicas, rights missing) also answers
 * reads, so a read ends nothing. Only a write that the server took does, or a lease that some process renewed there
 * meanwhile.
 */

import { LEASE_MS } from '../cache/store.js';
import { type Clock, MINUTE } from '../cache/time.js';

/** Failures further apart than this belong to different outages: what happened between them is unknown. */
const GAP_MS = 1000;
/** A missing right does not come and go. */
const GAP_OF_RIGHTS_MS = MINUTE;
/**
 * Refusals of this user: that others may write proves nothing for it. The last is what Redis 7.0 says of a command in a
 * script.
 */
const OF_THIS_USER = /\b(NOPERM|NOAUTH|WRONGPASS)\b|The user executing the script/;

export interface OutageListener {
  /** The outage has lasted LEASE_MS: from now on writes commit without a fence. `reason`: in words. */
  began(reason: string): void;
  ended(): void;
}

export class Outage {
  readonly #clock: Clock;
  readonly #listener: OutageListener;
  readonly #unanswered = new Failures();
  readonly #refused = new Failures();
  #ofThisUser = false;
  #reported = false;
  #reason: string | undefined;

  constructor(clock: Clock, listener: OutageListener) {
    this.#clock = clock;
    this.#listener = listener;
  }

  /** The server executed a command. */
  answered(): void {
    this.#unanswered.end();
    this.#reportEnd();
  }

  /** The server took a fence of this process. */
  fenced(): void {
    this.#refused.end();
    this.answered();
  }

  /** The server took another write, just now. */
  wrote(): void {
    if (!this.#ofThisUser) this.#refused.end();
    this.answered();
  }

  /** The server holds a lease that ends in `leftMs`: a tick that began LEASE_MS before that end was applied. */
  leased(leftMs: number): void {
    const sinceMs = this.#refused.sinceMs;
    const renewedMs = this.#clock.monotonicMs() - (LEASE_MS - leftMs);
    if (sinceMs !== undefined && renewedMs > sinceMs && !this.#ofThisUser) this.#refused.end();
    this.answered();
  }

  /** An attempt that began at `startedMs` was not answered, or a read was refused. */
  failed(startedMs: number, reason: string): void {
    this.#unanswered.add(startedMs, this.#clock.monotonicMs(), GAP_MS);
    this.#reportBegin(`Redis cannot be reached: ${reason}`);
  }

  /**
   * The server answered a write that was sent at `startedMs` with an error. A right that a tick lacks says nothing
   * about fences, which need other rights.
   */
  refused(startedMs: number, reason: string, by: 'fence' | 'tick'): void {
    const ofThisUser = OF_THIS_USER.test(reason);
    if (ofThisUser && by === 'tick') {
      this.answered();
      return;
    }
    this.#ofThisUser = ofThisUser;
    const gapMs = ofThisUser ? GAP_OF_RIGHTS_MS : GAP_MS;
    this.#refused.add(startedMs, this.#clock.monotonicMs(), gapMs);
    this.#reportBegin(`Redis refuses writes: ${reason}`);
  }

  /** Of the latest failure, in words. Undefined after a success. */
  get reason(): string | undefined {
    return this.lostForMs > 0 ? this.#reason : undefined;
  }

  /** 0 after a success. */
  get lostForMs(): number {
    const since = [this.#unanswered.sinceMs, this.#refused.sinceMs].filter((ms) => ms !== undefined);
    return since.length === 0 ? 0 : this.#clock.monotonicMs() - Math.min(...since);
  }

  #reportBegin(reason: string): void {
    this.#reason = reason;
    if (this.#reported || this.lostForMs < LEASE_MS) return;
    this.#reported = true;
    this.#listener.began(reason);
  }

  #reportEnd(): void {
    if (!this.#reported || this.lostForMs > 0) return;
    this.#reported = false;
    this.#listener.ended();
  }
}

/**
 * For how long all of those groups have been lost that are lost at all; 0 when none is. One that was lost later than
 * the others may still have its lease.
 */
export function lostTogetherMs(outages: readonly Pick<Outage, 'lostForMs'>[]): number {
  const lost = outages.map(({ lostForMs }) => lostForMs).filter((ms) => ms > 0);
  return lost.length === 0 ? 0 : Math.min(...lost);
}

/** Failures without a success between them. */
class Failures {
  sinceMs: number | undefined;
  #lastMs = 0;

  add(startedMs: number, endedMs: number, gapMs: number): void {
    if (this.sinceMs === undefined || startedMs - this.#lastMs > gapMs) this.sinceMs = startedMs;
    this.#lastMs = endedMs;
  }

  end(): void {
    this.sinceMs = undefined;
  }
}

/** One listener for the outages of all groups: hears when the first begins and when the last has ended. */
export function reportedOnce(listener: OutageListener): OutageListener {
  let outages = 0;
  return {
    began: (reason) => {
      if (++outages === 1) listener.began(reason);
    },
    ended: () => {
      if (--outages === 0) listener.ended();
    },
  };
}

/** Redis's own words, without the script and the line that sent the command. */
export function refusalText(error: string): string {
  return error.replace(/\s*script: [0-9a-f]{40}, on @user_script:\d+\.?$/, '').trim();
}
