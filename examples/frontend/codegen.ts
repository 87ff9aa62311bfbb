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
      presetConfig: {
        fragmentMasking: { unmaskFunctionName: 'readFragment' },
        persistedDocuments: true, // src/gql/persisted-documents.json: every operation by its hash
      },
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
      },
    },
    'src/gql/introspection.json': { plugins: ['./introspection.mjs'] },
  },
};

export default config;
