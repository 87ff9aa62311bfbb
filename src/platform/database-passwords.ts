/**
 * Passwords of databases in variables of their own: they may have characters that a URL would need percent-encoded.
 */
import { ConnectionUrlError, parseConnectionUrl } from '../engine/postgres/index.js';
import { type Environment, withSecretFiles } from './secret-files.js';

const PASSWORDS = [
  ['DATABASE_URL', 'DATABASE_PASSWORD'],
  ['MIGRATION_DATABASE_URL', 'MIGRATION_DATABASE_PASSWORD'],
] as const;

/** The environment with secrets read from their files, and URLs that have the passwords given beside them. */
export function withSecrets(env: Environment): { given: Environment; faults: readonly string[] } {
  const { given: read, faults: fileFaults } = withSecretFiles(env);
  const given: Record<string, string | undefined> = { ...read };
  const faults = [...fileFaults];
  for (const [name, passwordName] of PASSWORDS) {
    const { [name]: url, [passwordName]: password } = given;
    if (password === undefined) continue;
    if (url === undefined) faults.push(`${passwordName}: expected ${name} beside it`);
    else if (hasPassword(url)) faults.push(`${name}, ${passwordName}: expected a password in only one of them`);
    else given[name] = `${url}${url.includes('?') ? '&' : '?'}password=${encodeURIComponent(password)}`;
  }
  return { given, faults };
}

/** A URL that cannot be read is reported where it is used. */
function hasPassword(url: string): boolean {
  try {
    return parseConnectionUrl(url).password !== undefined;
  } catch (error) {
    if (error instanceof ConnectionUrlError) return false;
    throw error;
  }
}
