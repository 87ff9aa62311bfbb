/** What the server writes into the page, and what a person chose. */

export interface Settings {
  /** Path of the API. */
  readonly endpoint: string;
  /** Path of the explorer, where there is one. */
  readonly explorer?: string;
  /** In development: a token that is filled in. */
  readonly token?: string;
  /** The operation that Explain shows first. */
  readonly document?: string;
}

export const settings = JSON.parse(document.querySelector('#settings')?.textContent ?? '{}') as Settings;

const TOKEN = 'console.token';
const THEME = 'console.theme';

/** Kept for this tab only: a reload needs no second login, and other tabs see nothing. */
export function keptToken(): string | undefined {
  return settings.token ?? sessionStorage.getItem(TOKEN) ?? undefined;
}

export function keepToken(token: string | undefined): void {
  if (token === undefined) sessionStorage.removeItem(TOKEN);
  else sessionStorage.setItem(TOKEN, token);
}

export const THEMES = ['auto', 'light', 'dark'] as const;
/** `auto` follows the system. */
export type Theme = (typeof THEMES)[number];

export function keptTheme(): Theme {
  const kept = localStorage.getItem(THEME);
  return THEMES.find((theme) => theme === kept) ?? 'auto';
}

export function applyTheme(theme: Theme): void {
  localStorage.setItem(THEME, theme);
  document.documentElement.dataset['theme'] = theme;
  dispatchEvent(new Event('themechange'));
}
