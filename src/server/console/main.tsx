/** The console: its views, the connection, the theme, and the token where the page has none. */
import { render } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import './console.css';
import { Connection, TokenForm } from './login.js';
import { openSession, type Session, SessionContext, useRoute } from './session.js';
import { applyTheme, keepToken, keptTheme, keptToken, settings, THEMES, type Theme } from './settings.js';
import { ExplainView } from './views/explain.js';
import { HealthView } from './views/health.js';
import { InvalidationsView } from './views/invalidations.js';
import { LookupView } from './views/lookup.js';
import { NowView } from './views/now.js';
import { PoliciesView } from './views/policies.js';

const VIEWS = [
  { name: 'now', label: 'Now', View: NowView },
  { name: 'policies', label: 'Policies', View: PoliciesView },
  { name: 'invalidations', label: 'Invalidations', View: InvalidationsView },
  { name: 'explain', label: 'Explain', View: ExplainView },
  { name: 'lookup', label: 'A row or tag', View: LookupView },
  { name: 'health', label: 'Health', View: HealthView },
] as const;

function Console() {
  const [login, setLogin] = useState<{ token?: string | undefined; why?: string }>({ token: keptToken() });
  const [session, setSession] = useState<Session>();
  useEffect(() => {
    if (login.token === undefined) return setSession(undefined);
    const refuse = (why: string) => {
      keepToken(undefined);
      setLogin({ why });
    };
    const opened = openSession(login.token, refuse);
    setSession(opened.session);
    return opened.close;
  }, [login.token]);
  if (session === undefined) {
    const open = (token: string) => {
      keepToken(token);
      setLogin({ token });
    };
    return <TokenForm why={login.why} onToken={open} />;
  }
  return (
    <SessionContext.Provider value={session}>
      <Shell />
    </SessionContext.Provider>
  );
}

function Shell() {
  const { view, parameters } = useRoute();
  const { label, View } = VIEWS.find(({ name }) => name === view) ?? VIEWS[0];
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${label} · Cache console`;
  }, [label]);
  return (
    <div class="shell">
      <a class="skip" href={location.hash || '#/now'} onClick={() => heading.current?.focus()}>
        Skip to content
      </a>
      <header class="top">
        <a class="brand" href="#/now">
          <span class="mark" aria-hidden="true" />
          <span class="words">Cache console</span>
        </a>
        <Connection />
        {settings.explorer !== undefined && (
          <a class="explorer" href={settings.explorer}>
            Explorer
          </a>
        )}
        <ThemeSwitch />
      </header>
      <nav aria-label="Views">
        {VIEWS.map(({ name, label }) => (
          <a key={name} href={`#/${name}`} aria-current={View === viewNamed(name) ? 'page' : undefined}>
            {label}
          </a>
        ))}
      </nav>
      <main>
        <h1 ref={heading} tabIndex={-1}>
          {label}
        </h1>
        <View key={view} view={view} parameters={parameters} />
      </main>
    </div>
  );
}

function viewNamed(wanted: string) {
  return VIEWS.find(({ name }) => name === wanted)?.View;
}

function ThemeSwitch() {
  const [theme, setTheme] = useState<Theme>(keptTheme);
  useEffect(() => applyTheme(theme), [theme]);
  return (
    <label class="theme">
      <span class="visually-hidden">Theme</span>
      <select value={theme} onChange={({ currentTarget }) => setTheme(currentTarget.value as Theme)}>
        {THEMES.map((one) => (
          <option key={one} value={one}>
            {one}
          </option>
        ))}
      </select>
    </label>
  );
}

render(<Console />, document.querySelector('#console') as HTMLElement);
