/** Progress of an import: a bar on a terminal, otherwise one line at the end. */
import cliProgress from 'cli-progress';

export interface ImportProgress {
  /** Records processed so far: users, labels, tasks and comments together. */
  readonly done: number;
  readonly total: number;
}

export interface ProgressView {
  readonly show: (progress: ImportProgress) => void;
  /** Must also be called on failure, to restore the terminal's cursor. */
  readonly stop: () => void;
}

/** @param stream stderr, because stdout is for the result */
export function openProgress(stream: NodeJS.WriteStream): ProgressView {
  return stream.isTTY ? bar(stream) : line(stream);
}

function bar(stream: NodeJS.WriteStream): ProgressView {
  const view = new cliProgress.SingleBar(
    { stream, format: 'import [{bar}] {value}/{total}', hideCursor: true },
    cliProgress.Presets.legacy,
  );
  let started = false;
  return {
    show({ done, total }) {
      if (!started) view.start(total, 0);
      started = true;
      view.update(done);
    },
    stop: () => view.stop(),
  };
}

function line(stream: NodeJS.WriteStream): ProgressView {
  let last: ImportProgress | undefined;
  return {
    show(progress) {
      last = progress;
    },
    stop() {
      if (last !== undefined) stream.write(`import: ${last.done} of ${last.total} records read\n`);
      last = undefined;
    },
  };
}
