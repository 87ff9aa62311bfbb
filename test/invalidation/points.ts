/** A store whose steps can be held before and after: an interleaving is a choice of which step waits for which. */
import type { Store } from '../../src/engine/cache/index.js';
import { Gate } from '../support/barrier.js';
import { intercepted } from '../support/stores.js';

type HeldStep = 'read' | 'fill' | 'fence' | 'release' | 'apply';
export type Point = `${'before' | 'after'} ${HeldStep}`;

export class Points {
  readonly #held = new Set<{ point: Point; text: string; gate: Gate }>();

  /** Holds the next step that names a key or tag with this text in it. */
  hold(point: Point, text = ''): Gate {
    const gate = new Gate();
    this.#held.add({ point, text, gate });
    return gate;
  }

  async pass(point: Point, names: readonly string[]): Promise<void> {
    for (const held of this.#held) {
      if (held.point !== point || !(held.text === '' || names.some((name) => name.includes(held.text)))) continue;
      this.#held.delete(held);
      await held.gate.pass();
      return;
    }
  }
}

export function pointed(store: Store, points: Points): Store {
  const plain = intercepted(store, () => {});
  const held = async <R>(step: HeldStep, names: readonly string[], run: () => Promise<R>): Promise<R> => {
    await points.pass(`before ${step}`, names);
    const result = await run();
    await points.pass(`after ${step}`, names);
    return result;
  };
  return {
    ...plain,
    read: (keys, tags, options) => held('read', keys, () => plain.read(keys, tags, options)),
    fill: (fills) =>
      held(
        'fill',
        fills.map(({ key }) => key),
        () => plain.fill(fills),
      ),
    fence: (xid, tags, options) => held('fence', tags, () => plain.fence(xid, tags, options)),
    release: (xid, tags, options) => held('release', tags, () => plain.release(xid, tags, options)),
    apply: (tick, group) => held('apply', ['apply'], () => plain.apply(tick, group)),
  };
}
