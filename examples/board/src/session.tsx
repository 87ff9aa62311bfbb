/** Sign-in with a token, from `?token=` or a form. It is kept until the tab is closed. */
import { type FormEvent, useCallback, useMemo, useState } from 'react';
import { Provider } from 'urql';
import { connect } from './api/client.js';
import { App } from './app.js';

const KEY = 'token';

export function Session() {
  const [token, setToken] = useState(givenToken);
  const [refused, setRefused] = useState(false);
  const signIn = (token: string) => {
    sessionStorage.setItem(KEY, token);
    setToken(token);
  };
  const signOut = useCallback((refused: boolean) => {
    sessionStorage.removeItem(KEY);
    setRefused(refused);
    setToken(null);
  }, []);
  const api = useMemo(() => (token === null ? undefined : connect(token, () => signOut(true))), [token, signOut]);
  if (api === undefined) return <SignIn refused={refused} onToken={signIn} />;
  const leave = () => {
    void api.socket.dispose();
    signOut(false);
  };
  return (
    <Provider value={api.client}>
      <App socket={api.socket} onSignOut={leave} />
    </Provider>
  );
}

/** A token in the address is taken out of it, so that it is not copied with a link. */
function givenToken(): string | null {
  const address = new URL(location.href);
  const token = address.searchParams.get(KEY);
  if (token === null) return sessionStorage.getItem(KEY);
  address.searchParams.delete(KEY);
  history.replaceState(null, '', address);
  sessionStorage.setItem(KEY, token);
  return token;
}

function SignIn({ refused, onToken }: { refused: boolean; onToken(token: string): void }) {
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const token = String(new FormData(event.currentTarget).get(KEY)).trim();
    if (token !== '') onToken(token);
  };
  return (
    <main className="sign-in">
      <h1>Board</h1>
      {refused && (
        <p className="fault" role="alert">
          The API does not accept this token, or it has expired.
        </p>
      )}
      <form onSubmit={submit}>
        <label htmlFor="token">Token</label>
        <input id="token" name={KEY} type="password" autoComplete="off" required />
        <p className="note">
          In development, the one that <code>npm start</code> prints, or <code>npm run token</code>.
        </p>
        <button type="submit" className="primary">
          Sign in
        </button>
      </form>
    </main>
  );
}
