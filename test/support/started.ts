/** A server that runs in a process of its own, as `npm start` runs it. */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

/** The lines `Name   value` that a start prints, until the token. */
export async function started(child: ChildProcess): Promise<Record<string, string>> {
  const printed: Record<string, string> = {};
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    const [, name, value] = /^(\w+) +(.*)$/.exec(line) ?? [];
    if (name !== undefined) printed[name] = value as string;
    if (name === 'Token') return printed;
  }
  throw new Error(`the server ended before it had started: ${JSON.stringify(printed)}`);
}
