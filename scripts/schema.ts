/** `npm run schema`: writes schema.graphql from the code. A test fails while the two differ. */
import 'reflect-metadata';
import { writeFileSync } from 'node:fs';
import { createSchema } from '../src/app.js';
import { printApiSchema } from '../src/graphql/schema.js';

// Nothing is resolved here, so no resolver needs what it would write with.
const { schema } = createSchema({} as never);
writeFileSync(new URL('../schema.graphql', import.meta.url), printApiSchema(schema));
