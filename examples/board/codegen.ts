/** `npm run generate`: types and documents for the operations in src/, from the schema alone. */
import { join } from 'node:path';
import type { CodegenConfig } from '@graphql-codegen/cli';
import { apiDir } from './api.js';

const config: CodegenConfig = {
  schema: join(apiDir, 'schema.graphql'),
  documents: ['src/**/*.ts', '!src/gql/**'],
  emitLegacyCommonJSImports: false,
  generates: {
    'src/gql/': {
      preset: 'client',
      // Optimistic changes are laid over whole tasks, so components get these and not masked fragments.
      presetConfig: { fragmentMasking: false },
      config: {
        scalars: {
          ID: 'string',
          Date: 'string',
          DateTime: 'string',
          DateOrDuration: 'string',
          DateTimeOrDuration: 'string',
        },
        strictScalars: true,
        useTypeImports: true,
        enumsAsTypes: true,
      },
    },
  },
};

export default config;
