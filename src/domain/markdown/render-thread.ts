/**
 * Renders Markdown texts in a thread of its own, one after the other, while the process serves other requests. The
 * thread starts with the first text and lives until `close`. If a text makes it fail, that text is rejected, and the
 * next one starts another thread.
 */
import { Worker } from 'node:worker_threads';
import { SECOND } from '../../std/time.js';

/** More texts are rejected. The cache loads far fewer at once. */
const MAX_WAITING = 1000;
/** The slowest text of 64 Ki characters takes 0.5 s on an idle machine. */
const MAX_RENDER_MS = 10 * SECOND;
/** The slowest text needs less than 100 MiB. */
const MAX_HEAP_MB = 256;

interface Job {
  readonly text: string;
  resolve(html: string): void;
  reject(error: Error): void;
}

export class RenderThread {
  readonly #waiting: Job[] = [];
  #running: Job | undefined;
  #thread: Worker | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  readonly #startThread: () => Worker;

  constructor(start: () => Worker = startThread) {
    this.#startThread = start;
  }

  /** @throws Error if too many texts wait, the text takes too long, or the thread fails or is closed */
  render(text: string): Promise<string> {
    if (this.#isClosed) return Promise.reject(new Error('the thread that renders Markdown is closed'));
    if (this.#waiting.length >= MAX_WAITING) return Promise.reject(new Error('too many texts wait to be rendered'));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ text, resolve, reject });
      this.#next();
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const thread = this.#thread;
    this.#lose(thread, new Error('the thread that renders Markdown is closed'));
    await thread?.terminate();
  }

  #next(): void {
    const job = this.#running === undefined ? this.#waiting.shift() : undefined;
    if (job === undefined) return;
    if (this.#isClosed) {
      job.reject(new Error('the thread that renders Markdown is closed'));
      this.#next();
      return;
    }
    this.#running = job;
    const thread = this.#thread ?? this.#start();
    if (thread === undefined) return;
    this.#timer = setTimeout(() => {
      this.#lose(thread, new Error(`Markdown was not rendered within ${MAX_RENDER_MS} ms`));
      void thread.terminate();
    }, MAX_RENDER_MS);
    thread.postMessage(job.text);
  }

  /** Rejects the text if the system gives no thread. */
  #start(): Worker | undefined {
    let thread: Worker;
    try {
      thread = this.#startThread();
    } catch (error) {
      this.#settle((job) => job.reject(error instanceof Error ? error : new Error(String(error))));
      return undefined;
    }
    this.#thread = thread;
    thread.on('message', (html: string) => {
      // A thread that was given up may have answered before it ended. The text that runs by then is another one.
      if (thread === this.#thread) this.#settle((job) => job.resolve(html));
    });
    thread.on('error', (error: Error) => this.#lose(thread, error));
    thread.on('exit', () => this.#lose(thread, new Error('the thread that renders Markdown has ended')));
    return thread;
  }

  /** The thread answers no more. Does nothing the second time. */
  #lose(thread: Worker | undefined, error: Error): void {
    if (thread !== this.#thread) return;
    this.#thread = undefined;
    this.#settle((job) => job.reject(error));
  }

  #settle(settle: (job: Job) => void): void {
    clearTimeout(this.#timer);
    const job = this.#running;
    this.#running = undefined;
    if (job !== undefined) settle(job);
    this.#next();
  }
}

export function startThread(): Worker {
  const thread = new Worker(startOfThread(), {
    eval: true,
    execArgv: [], // those of the process may concern its main thread alone
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
  });
  thread.unref();
  return thread;
}

/**
 * A thread has no loader of TypeScript. Where sources run, it registers tsx, found from the working directory as
 * `--import tsx` is.
 */
function startOfThread(): string {
  const isSource = import.meta.url.endsWith('.ts');
  const entry = new URL(`./thread-entry.${isSource ? 'ts' : 'js'}`, import.meta.url).href;
  const start = `import(${JSON.stringify(entry)})`;
  return isSource ? `import('tsx/esm/api').then(({ register }) => { register(); return ${start}; })` : start;
}
