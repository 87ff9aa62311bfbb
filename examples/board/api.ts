/** Where the checkout of the API is: beside this folder, or, when this folder was copied out, where TASKS_API says. */
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const apiDir = resolve(process.env['TASKS_API'] || fileURLToPath(new URL('../..', import.meta.url)));
