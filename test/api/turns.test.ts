/** How the work of subscriptions is spread over turns of the event loop and over viewers, and how connections are counted. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Turns } from '../../src/server/operations/turns.js';
import { type ConnectionSlot, ConnectionSlots } from '../../src/server/websocket/connection-slots.js';
import { Gate } from '../support/barrier.js';

const immediate = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('turns', () => {
  test('let the event loop run between jobs that came together', async () => {
    const turns = new Turns();
    let begun = 0;
    const jobs = Array.from({ length: 50 }, () =>
      turns.run('ada', 190, async () => {
        begun++;
      }),
    );
    const most: number[] = [];
    for (let before = 0; begun < 50; before = begun) {
      await immediate();
      most.push(begun - before);
    }
    await Promise.all(jobs);
    expect(Math.max(...most)).toBe(1);
    expect(turns.viewers).toBe(0);
  });

  test('stand back behind new connections', async () => {
    let connecting = true;
    const turns = new Turns({ goFirst: () => connecting });
    let begun = false;
    const job = turns.run('ada', 1, async () => {
      begun = true;
    });
    for (let n = 0; n < 5; n++) await immediate();
    expect(begun).toBe(false);
    connecting = false;
    await job;
    expect(begun).toBe(true);
  });

  test('let small jobs begin together, so that what they read is read together', async () => {
    const turns = new Turns();
    let begun = 0;
    for (let n = 0; n < 30; n++) {
      void turns.run(`viewer ${n % 3}`, 2, async () => {
        begun++;
      });
    }
    await immediate();
    expect(begun).toBe(30);
  });

  test('let a viewer with one job begin before the second job of a viewer with many', async () => {
    const turns = new Turns();
    const order: string[] = [];
    const many = Array.from({ length: 20 }, (_, n) =>
      turns.run('mallory', 100, async () => void order.push(`mallory ${n}`)),
    );
    const one = turns.run('ada', 100, async () => void order.push('ada'));
    await Promise.all([...many, one]);
    expect(order.indexOf('ada')).toBeLessThanOrEqual(1);
  });

  test('bring what a job brings, and what it fails with, and go on', async () => {
    const turns = new Turns();
    await expect(turns.run('ada', 1, async () => 7)).resolves.toBe(7);
    const failing = turns.run('ada', 1, async () => {
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    await expect(turns.run('ada', 1000, async () => 8)).resolves.toBe(8);
    expect(turns.viewers).toBe(0);
  });

  test('of a viewer whose jobs wait for Postgres hold up no other viewer', async () => {
    const turns = new Turns();
    const gate = new Gate();
    const held = Array.from({ length: 30 }, (_, n) => turns.run(`mallory ${n}`, 100, () => gate.pass()));
    // Those under way count for a second; then others begin.
    await expect(turns.run('ada', 2, async () => 'told')).resolves.toBe('told');
    gate.open();
    await Promise.all(held);
    expect(turns.viewers).toBe(0);
  });
});

test('the slots of connections are counted as a list of them would be, and all come back', () => {
  const limits = {
    maxConnections: 12,
    maxConnectionsPerAddress: 5,
    maxConnectionsPerViewer: 3,
    maxUnauthenticated: 6,
    maxUnauthenticatedPerAddress: 3,
  };
  interface Held {
    readonly slot: ConnectionSlot;
    readonly address: string;
    viewer?: string;
  }
  const step = fc.record({
    kind: fc.constantFrom('take', 'take', 'authenticate', 'release' as const),
    address: fc.integer({ min: 0, max: 3 }).map((n) => `192.0.2.${n}`),
    viewer: fc.constantFrom('ada', 'bob'),
    which: fc.nat(20),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const slots = new ConnectionSlots(limits);
      let held: Held[] = [];
      const silent = (address?: string) =>
        held.filter((one) => one.viewer === undefined && (address === undefined || one.address === address)).length;
      for (const { kind, address, viewer, which } of steps) {
        const one = held[which % Math.max(1, held.length)];
        if (kind === 'take') {
          const before = {
            total: held.length,
            of: held.filter((other) => other.address === address).length,
            silent: silent(address),
          };
          const slot = slots.take(address);
          if (typeof slot === 'string') {
            const full = before.of >= 5 || before.silent >= 3 ? 'address' : 'process';
            expect(slot).toBe(full);
            if (full === 'process') expect(before.total >= 12 || silent() >= 6).toBe(true);
          } else {
            const made: Held = { slot, address };
            slot.evict = () => {
              held = held.filter((other) => other !== made);
            };
            held.push(made);
          }
        } else if (one !== undefined && kind === 'release') {
          one.slot.release();
          one.slot.release(); // once
          held = held.filter((other) => other !== one);
        } else if (one !== undefined && one.viewer === undefined) {
          const full = held.filter((other) => other.viewer === viewer).length >= 3;
          expect(one.slot.authenticate(viewer)).toBe(!full);
          if (!full) one.viewer = viewer;
        }
        expect([slots.total, slots.unauthenticated]).toEqual([held.length, silent()]);
        expect(silent()).toBeLessThanOrEqual(6);
      }
      for (const { slot } of held) slot.release();
      expect([slots.total, slots.unauthenticated]).toEqual([0, 0]);
    }),
  );
});
