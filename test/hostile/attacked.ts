/** One attack on a world, and what it did to the viewer who behaves: for tests, which share a world and a quiet measurement. */
import { type AttackReport, startAttack } from './attacker.js';
import { type Measurement, wellBehaved } from './well-behaved.js';
import type { World } from './world.js';

const SETTLE_MS = 500;

export interface AttackedOptions {
  /** How long the measurement lasts, ms. */
  readonly ms: number;
  /** How long the attack runs before anything is measured. Default 500 ms. */
  readonly settleMs?: number;
}

export interface Attacked {
  readonly measurement: Measurement;
  readonly report: AttackReport;
  /** Largest resident memory of the server while the attack ran, bytes; 0 on systems without /proc. */
  readonly peakRss: number;
}

export async function attacked(world: World, name: string, { ms, settleMs = SETTLE_MS }: AttackedOptions) {
  const attack = await startAttack(world, name);
  world.server.takePeakRss();
  await new Promise((resolve) => setTimeout(resolve, settleMs));
  const measurement = await wellBehaved(world, ms);
  const report = await attack.stop();
  return { measurement, report, peakRss: world.server.takePeakRss() } satisfies Attacked;
}
