/** Runs an operation with a trace and shows what the cache did for it. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { operationNames, type Run, runOf } from '../explain-model.js';
import { number, plural } from '../format.js';
import { Empty, Fault, Figure, Panel } from '../parts.js';
import { type Route, useSession } from '../session.js';
import { settings } from '../settings.js';
import type { Trace } from '../types.js';
import { TouchForm } from './touch.js';
import { Waterfall } from './waterfall.js';

const EXAMPLES: readonly { readonly label: string; readonly query: string }[] = [
  { label: 'Board: projects with tasks', query: settings.document ?? '' },
  {
    label: 'My open tasks',
    query: `query MyTasks {
  viewer {
    name
    assignedTasks(first: 10, filter: { status: { in: [TODO, IN_PROGRESS] } }) {
      nodes { id identifier title priority project { key } }
    }
  }
}
`,
  },
  {
    label: 'Newest tasks',
    query: `query NewestTasks {
  tasks(first: 10) {
    nodes { id identifier title priority status assignee { name } }
  }
}
`,
  },
].filter(({ query }) => query !== '');

interface Request {
  readonly query: string;
  readonly variables: string;
  /** Empty: the only one. */
  readonly operationName: string;
}

/** @throws Error that says what is wrong with the variables */
function readVariables(text: string): object {
  if (text.trim() === '') return {};
  try {
    return JSON.parse(text) as object;
  } catch (error) {
    throw new Error(`Variables: expected JSON. ${(error as Error).message}`);
  }
}

export function ExplainView({ parameters }: Route) {
  const { api } = useSession();
  const [request, setRequest] = useState<Request>(() => ({
    query: parameters.get('query') || EXAMPLES[0]?.query || '',
    variables: parameters.get('variables') ?? '',
    operationName: '',
  }));
  /** Newest first. */
  const [runs, setRuns] = useState<readonly Run[]>([]);
  const [fault, setFault] = useState<string>();
  const [running, setRunning] = useState(false);
  const runOnce = async (): Promise<Run> => {
    const names = operationNames(request.query);
    const operationName = names.includes(request.operationName) ? request.operationName : names[0];
    const sent = { query: request.query, variables: readVariables(request.variables), operationName };
    const { data, errors = [], extensions } = await api.run(sent, { 'x-cache-trace': '1' });
    const trace = extensions?.['cache'] as Trace | undefined;
    if (trace === undefined) throw new Error(errors[0]?.message ?? 'The answer has no trace.');
    return runOf(data, errors, trace);
  };
  const run = async (times: number): Promise<Run | undefined> => {
    setRunning(true);
    setFault(undefined);
    let last: Run | undefined;
    try {
      for (let i = 0; i < times; i++) {
        const done = await runOnce();
        last = done;
        setRuns(([before]) => (before === undefined ? [done] : [done, before]));
      }
    } catch (error) {
      setFault((error as Error).message);
    }
    setRunning(false);
    return last;
  };
  const change = (changed: Partial<Request>) => {
    setRequest({ ...request, ...changed });
    setRuns([]);
  };
  const [current, before] = runs;
  return (
    <>
      <div class="explain">
        <Editor request={request} onChange={change} running={running} onRun={run} />
        {current === undefined ? (
          <Panel title="Touch a row">
            <Empty>Run an operation first. Then change one of its tasks, and see what is read again.</Empty>
          </Panel>
        ) : (
          <TouchForm run={current} again={() => run(1)} />
        )}
      </div>
      {fault !== undefined && <Fault>{fault}</Fault>}
      {current !== undefined && <Outcome current={current} before={before} />}
    </>
  );
}

interface EditorProps {
  readonly request: Request;
  readonly onChange: (changed: Partial<Request>) => void;
  readonly running: boolean;
  readonly onRun: (times: number) => void;
}

function Editor({ request, onChange, running, onRun }: EditorProps) {
  const names = operationNames(request.query);
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    const listener = ({ key, ctrlKey, metaKey }: KeyboardEvent) => {
      if (key === 'Enter' && (ctrlKey || metaKey)) form.current?.requestSubmit();
    };
    addEventListener('keydown', listener);
    return () => removeEventListener('keydown', listener);
  }, []);
  return (
    <Panel title="Operation">
      <form
        ref={form}
        class="editor"
        onSubmit={(event) => {
          event.preventDefault();
          if (!running) onRun(1);
        }}
      >
        <label for="example">Example</label>
        <select
          id="example"
          value={EXAMPLES.find(({ query }) => query === request.query)?.label ?? ''}
          onChange={({ currentTarget: { value } }) =>
            onChange({ query: EXAMPLES.find(({ label }) => label === value)?.query ?? request.query, variables: '' })
          }
        >
          <option value="">your own</option>
          {EXAMPLES.map(({ label }) => (
            <option key={label}>{label}</option>
          ))}
        </select>
        <label for="query">GraphQL</label>
        <textarea
          id="query"
          rows={14}
          spellcheck={false}
          value={request.query}
          onInput={({ currentTarget }) => onChange({ query: currentTarget.value })}
        />
        {names.length > 1 && (
          <>
            <label for="operation">Run</label>
            <select
              id="operation"
              value={request.operationName || names[0]}
              onChange={({ currentTarget }) => onChange({ operationName: currentTarget.value })}
            >
              {names.map((name) => (
                <option key={name}>{name}</option>
              ))}
            </select>
          </>
        )}
        <label for="variables">Variables, as JSON</label>
        <textarea
          id="variables"
          rows={2}
          spellcheck={false}
          value={request.variables}
          onInput={({ currentTarget }) => onChange({ variables: currentTarget.value })}
        />
        <div class="actions">
          <button type="submit" class="primary" disabled={running}>
            Run
          </button>
          <button type="button" disabled={running} onClick={() => onRun(2)}>
            Run twice
          </button>
          <span class="note">Ctrl + Enter runs it, as the viewer of your token.</span>
        </div>
      </form>
    </Panel>
  );
}

function Outcome({ current, before }: Readonly<{ current: Run; before: Run | undefined }>) {
  const { totals } = current.trace;
  const compared = (then: number | undefined, unit = '') =>
    then === undefined ? 'first run' : `${number(then)}${unit} in the run before`;
  const was = before?.trace.totals;
  const loaded = current.trace.calls.filter(({ outcome }) => outcome === 'miss' || outcome === 'bypass').length;
  const all = current.trace.calls.length;
  return (
    <>
      {current.errors[0] !== undefined && <Fault>{current.errors[0].message}</Fault>}
      <dl class="figures" aria-label="Totals of the run">
        <Figure label="Time" value={`${number(totals.ms)} ms`} note={compared(was?.ms, ' ms')} />
        <Figure label="Redis reads" value={number(totals.redisRoundTrips)} note={compared(was?.redisRoundTrips)} />
        <Figure label="SQL statements" value={number(totals.sqlStatements)} note={compared(was?.sqlStatements)} />
        <Figure
          label="Values without a load"
          value={`${number(all - loaded)} of ${number(all)}`}
          note={`in ${plural(current.levels.length, 'level')}`}
        />
      </dl>
      <Waterfall run={current} before={before} />
      <Panel title="Answer">
        <details>
          <summary>The data as JSON</summary>
          <pre>{JSON.stringify(current.data, null, 2)}</pre>
        </details>
      </Panel>
    </>
  );
}
