/** Secrets in files, as Docker and Kubernetes mount them: NAME_FILE has the path of a file with the value of NAME. */
import { readFileSync } from 'node:fs';

export type Environment = Readonly<Record<string, string | undefined>>;

/** The variables that may be given so. */
export const SECRETS = [
  'DATABASE_URL',
  'DATABASE_PASSWORD',
  'MIGRATION_DATABASE_URL',
  'MIGRATION_DATABASE_PASSWORD',
  'REDIS_URL',
  'REDIS_USERNAME',
  'REDIS_PASSWORD',
  'REDIS_SENTINEL_USERNAME',
  'REDIS_SENTINEL_PASSWORD',
  'JWT_SECRET',
  'JWT_PREVIOUS_SECRETS',
  'EXPORT_SECRET',
  'OTEL_EXPORTER_OTLP_HEADERS',
] as const;

/** The environment with the contents of the files, without the line break at their end. Empty variables are left out. */
export function withSecretFiles(env: Environment): { given: Environment; faults: readonly string[] } {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== '' && value !== undefined));
  const faults: string[] = [];
  for (const name of SECRETS) {
    const path = given[`${name}_FILE`];
    if (path === undefined) continue;
    if (given[name] !== undefined) faults.push(`${name}, ${name}_FILE: expected only one of them`);
    try {
      given[name] = readFileSync(path, 'utf8').replace(/\r?\n$/, '');
    } catch (error) {
      faults.push(`${name}_FILE: expected a file that can be read (${(error as NodeJS.ErrnoException).code})`);
    }
  }
  return { given, faults };
}
