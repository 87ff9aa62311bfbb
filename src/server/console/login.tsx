/** The token that the page asks for, and whether the stream of activity is open. */
import { useState } from 'preact/hooks';
import { plural, timeOfDay } from './format.js';
import { Fault } from './parts.js';
import { useActivity } from './session.js';

export function TokenForm({ why, onToken }: Readonly<{ why?: string | undefined; onToken: (token: string) => void }>) {
  const [token, setToken] = useState('');
  return (
    <main class="login">
      <h1>Cache console</h1>
      <p>
        The console shows what the cache of all processes does. It needs a token with the scope <code>cache:admin</code>
        ; its view Explain also needs <code>cache:trace</code>.
      </p>
      {why !== undefined && <Fault>{why}</Fault>}
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (token.trim() !== '') onToken(token.trim());
        }}
      >
        <label for="token">Token</label>
        <input
          id="token"
          type="password"
          autocomplete="off"
          value={token}
          onInput={({ currentTarget }) => setToken(currentTarget.value)}
        />
        <button type="submit" class="primary">
          Open
        </button>
      </form>
      <p class="note">It is kept in this tab until it is closed, and sent to this server only.</p>
    </main>
  );
}

const STATES = {
  connecting: 'Connecting',
  live: 'Live',
  faulty: 'The last message failed',
  lost: 'Connection lost, trying again',
  ended: 'Stream ended, trying again',
} as const;

export function Connection() {
  const { state, error, latest } = useActivity();
  const processes = latest === undefined ? '' : ` · ${plural(latest.processes.length, 'process', 'processes')}`;
  return (
    <p class={`connection is-${state}`} role="status">
      {error?.resetAt === undefined ? STATES[state] : `Rate limit reached, trying again at ${timeOfDay(error.resetAt)}`}
      {state === 'live' && processes}
      {error !== undefined && error.resetAt === undefined && ` · ${error.message}`}
    </p>
  );
}
