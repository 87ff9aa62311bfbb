/** The test's side of an attack: its process is started, left alone, stopped, and asked what it was answered. */
import { fork } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { constants, setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Attack, Target } from './attack.js';
import type { Attacker, World } from './world.js';

const PROCESS = fileURLToPath(new URL('./attacker-process.ts', import.meta.url));
const TSX = import.meta.resolve('tsx');

export interface AttackReport {
  readonly name: string;
  /** Answers by status and code; `closed` where the server closed the connection. */
  readonly counts: Readonly<Record<string, number>>;
  readonly bytes: number;
}

export interface PreparedAttack {
  readonly attacker: Attacker;
  begin(): void;
  /** @throws when the attack itself failed, or did nothing: then nothing was proved */
  stop(): Promise<AttackReport>;
}

/** @param name of a file in `attacks/`, without its ending */
export async function startAttack(world: World, name: string): Promise<PreparedAttack> {
  const attack = await prepareAttack(world, name);
  attack.begin();
  return attack;
}

/** Writes the attack's rows and starts its process, which does nothing before `begin`: its own start takes seconds of CPU. */
export async function prepareAttack(world: World, name: string): Promise<PreparedAttack> {
  const file = new URL(`./attacks/${name}.ts`, import.meta.url).href;
  const { default: attack } = (await import(file)) as { default: Attack };
  const attacker = await world.newAttacker();
  const prepared = await attack.prepare?.(world, attacker);
  const target: Target = { port: world.port, attacker, prepared };
  const child = fork(PROCESS, {
    execArgv: ['--import', TSX],
    env: { ...process.env, NODE_ENV: 'test', HOSTILE_ATTACK: JSON.stringify({ file, target }) },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    detached: true, // a Ctrl-C in the terminal is for us
  });
  await yieldCpu(child.pid as number);
  world.reaper.watch(child.pid as number);
  child.once('exit', () => world.reaper.forget(child.pid as number));
  const message = (kind: string) =>
    new Promise<AttackReport & { kind: string; fault?: string }>((resolve, reject) => {
      child.on('message', (report: AttackReport & { kind: string }) => report.kind === kind && resolve(report));
      child.once('exit', (code) => reject(new Error(`the attack "${attack.name}" ended by itself with ${code}`)));
    });
  const ended = message('ended');
  ended.catch(() => {}); // `stop` reports it
  await message('ready');
  return {
    attacker,
    begin: () => child.send('begin'),
    async stop() {
      if (child.connected) child.send('stop');
      const { counts, bytes, fault } = await ended;
      if (fault !== undefined) throw new Error(`the attack "${attack.name}" failed: ${fault}`);
      if (Object.keys(counts).length === 0) throw new Error(`the attack "${attack.name}" has sent nothing`);
      return { name: attack.name, counts, bytes };
    },
  };
}

/**
 * Lowers a process's priority: attackers have machines of their own, and here they would take the server's. Linux compares priorities within a
 * session only, so the one of the session (`autogroup`) is lowered, too, where there is one.
 */
async function yieldCpu(pid: number): Promise<void> {
  setPriority(pid, constants.priority.PRIORITY_LOW);
  await writeFile(`/proc/${pid}/autogroup`, String(constants.priority.PRIORITY_LOW)).catch(() => {});
}
