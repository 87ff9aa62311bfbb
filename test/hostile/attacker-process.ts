/** The process of one attack: what it does must not take the time of the viewer who measures. It ends with the process that started it. */
import 'reflect-metadata';
import { setMaxListeners } from 'node:events';
import { type Attack, AttackTally, type Target } from './attack.js';

/** Longer than any run; a child that is forgotten ends by itself. */
const MAX_MS = 10 * 60 * 1000;
/** After the stop: the answers under way are given up. */
const GRACE_MS = 500;

process.on('disconnect', () => process.exit());
setTimeout(() => process.exit(3), MAX_MS).unref();

const { file, target } = JSON.parse(process.env['HOSTILE_ATTACK'] ?? '') as { file: string; target: Target };
const { default: attack } = (await import(file)) as { default: Attack };
const tally = new AttackTally();
const stop = new AbortController();
setMaxListeners(0, stop.signal); // each request under way listens
const received = (what: string) =>
  new Promise<void>((resolve) => process.on('message', (message) => message === what && resolve()));
const [begin, end] = [received('begin'), received('stop')];
process.send?.({ kind: 'ready' });
await begin;

let fault: string | undefined;
const running = attack.run(target, tally, stop.signal).catch((error: unknown) => {
  fault = error instanceof Error ? (error.stack ?? error.message) : String(error);
});
await end;
stop.abort();
await Promise.race([running, new Promise((resolve) => setTimeout(resolve, GRACE_MS))]);
process.send?.({ kind: 'ended', counts: tally.counts, bytes: tally.bytes, fault }, () => process.exit());
