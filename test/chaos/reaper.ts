/**
 * Nothing outlives the runner, however it ends: a shell beside it holds the other end of a pipe and a list of processes and
 * directories; when the pipe closes, it kills the ones, SIGSTOPped or not, and removes the others.
 */
import { spawn } from 'node:child_process';

const SCRIPT = `
pids=' '; dirs=''
while read -r what which; do
  case $what in
    +) pids="$pids$which " ;;
    -) pids=$(printf %s "$pids" | sed "s/ $which / /g") ;;
    d) dirs="$dirs $which" ;;
  esac
done
for pid in $pids; do kill -9 "$pid" 2>/dev/null; done
sleep 0.2
for dir in $dirs; do rm -rf "$dir"; done
`;

export interface Reaper {
  /** The process ends with the runner at the latest. */
  watch(pid: number): void;
  /** It has ended: its number may be another's soon. */
  forget(pid: number): void;
  /** Removed with the runner's end. No spaces. */
  removes(dir: string): void;
}

export function startReaper(): Reaper {
  // Detached: a Ctrl-C in the terminal must not end it before us.
  const shell = spawn('/bin/sh', ['-c', SCRIPT], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  shell.unref();
  (shell.stdin as unknown as { unref(): void }).unref();
  shell.stdin.on('error', () => {}); // then nobody reaps, and the exit hooks still do
  const tell = (what: string, which: string | number) => shell.stdin.write(`${what} ${which}\n`);
  return {
    watch: (pid) => tell('+', pid),
    forget: (pid) => tell('-', pid),
    removes: (dir) => tell('d', dir),
  };
}
