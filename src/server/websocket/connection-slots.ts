/**
 * Limits the connections that stay open, WebSockets and streams of server-sent events: in total, per address, per
 * viewer, and those not authenticated yet. A WebSocket takes a slot before it is upgraded, and sets the slot's viewer
 * once; an event stream takes one with its viewer. Each releases its slot when it has closed.
 */
import type { ConnectionLimits } from '../../platform/subscription-limits.js';
import type { Full } from '../http/refusal-log.js';
import { networkOf } from '../rate-limit/rate-limit.js';

export class ConnectionSlots {
  readonly #limits: ConnectionLimits;
  readonly #byNetwork = new Counts();
  readonly #byViewer = new Counts();
  /** By network, oldest first. */
  readonly #unauthenticated = new Map<string, Set<ConnectionSlot>>();
  #total = 0;
  #totalUnauthenticated = 0;

  constructor(limits: ConnectionLimits) {
    this.#limits = limits;
  }

  get total(): number {
    return this.#total;
  }

  get unauthenticated(): number {
    return this.#totalUnauthenticated;
  }

  /**
   * Takes a slot for a connection from this address. If there are too many unauthenticated connections, the oldest one
   * of the address with the most of them is closed. A few addresses therefore cannot lock out the others.
   */
  take(address: string): ConnectionSlot | Full {
    const limits = this.#limits;
    const network = networkOf(address);
    const waiting = this.#unauthenticated.get(network)?.size ?? 0;
    if (this.#byNetwork.of(network) >= limits.maxConnectionsPerAddress) return 'address';
    if (waiting >= limits.maxUnauthenticatedPerAddress) return 'address';
    if (this.#total >= limits.maxConnections) return 'process';
    if (this.#totalUnauthenticated >= limits.maxUnauthenticated && !this.#evict(waiting)) return 'process';
    const slot = this.#open(network);
    const slots = this.#unauthenticated.get(network) ?? new Set();
    this.#unauthenticated.set(network, slots.add(slot));
    this.#totalUnauthenticated++;
    return slot;
  }

  /** Takes a slot for a connection whose viewer is known. @returns the slot, or whose limit is reached */
  takeFor(viewer: string, address: string): ConnectionSlot | Full | 'viewer' {
    const limits = this.#limits;
    const network = networkOf(address);
    if (this.#byViewer.of(viewer) >= limits.maxConnectionsPerViewer) return 'viewer';
    if (this.#byNetwork.of(network) >= limits.maxConnectionsPerAddress) return 'address';
    if (this.#total >= limits.maxConnections) return 'process';
    const slot = this.#open(network);
    slot.authenticate(viewer);
    return slot;
  }

  #open(network: string): ConnectionSlot {
    const slot: ConnectionSlot = new ConnectionSlot({
      authenticated: (viewer) => this.#authenticated(slot, network, viewer),
      release: (viewer) => this.#release(slot, network, viewer),
    });
    this.#total++;
    this.#byNetwork.add(network);
    return slot;
  }

  /** @returns whether an address had more than `waiting` unauthenticated connections */
  #evict(waiting: number): boolean {
    const [first] = this.#unauthenticated.values();
    let most = first;
    for (const slots of this.#unauthenticated.values()) if (slots.size > (most?.size ?? 0)) most = slots;
    if (most === undefined || most.size <= waiting) return false;
    const [oldest] = most;
    oldest?.evict();
    oldest?.release();
    return true;
  }

  #authenticated(slot: ConnectionSlot, network: string, viewer: string): boolean {
    if (this.#byViewer.of(viewer) >= this.#limits.maxConnectionsPerViewer) return false;
    this.#byViewer.add(viewer);
    this.#known(slot, network);
    return true;
  }

  #release(slot: ConnectionSlot, network: string, viewer: string | undefined): void {
    this.#total--;
    this.#byNetwork.remove(network);
    if (viewer === undefined) this.#known(slot, network);
    else this.#byViewer.remove(viewer);
  }

  /** Removes it from the unauthenticated connections. */
  #known(slot: ConnectionSlot, network: string): void {
    const slots = this.#unauthenticated.get(network);
    if (slots?.delete(slot)) this.#totalUnauthenticated--;
    if (slots?.size === 0) this.#unauthenticated.delete(network);
  }
}

export class ConnectionSlot {
  /** Closes the connection in favor of another. Set by the connection. */
  evict: () => void = () => {};
  readonly #table: { authenticated(viewer: string): boolean; release(viewer: string | undefined): void };
  #viewer: string | undefined;
  #released = false;

  constructor(table: { authenticated(viewer: string): boolean; release(viewer: string | undefined): void }) {
    this.#table = table;
  }

  /** @returns false if the viewer has the maximum number of connections, or the slot was released */
  authenticate(viewer: string): boolean {
    if (this.#released || !this.#table.authenticated(viewer)) return false;
    this.#viewer = viewer;
    return true;
  }

  /** Releases the slot, once. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#table.release(this.#viewer);
  }
}

/** Counts by name. A name with count 0 takes no memory. */
export class Counts {
  readonly #counts = new Map<string, number>();

  of(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  add(name: string): void {
    this.#counts.set(name, this.of(name) + 1);
  }

  remove(name: string): void {
    const left = this.of(name) - 1;
    if (left > 0) this.#counts.set(name, left);
    else this.#counts.delete(name);
  }
}
