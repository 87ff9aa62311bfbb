/**
 * The page at `/` in development: Apollo Sandbox if its script can be loaded, else a self-hosted GraphiQL. Both come
 * with a token and an example query.
 */
import { renderGraphiQL } from '@graphql-yoga/render-graphiql';

const SANDBOX_SCRIPT =
  'https://embeddable-sandbox.cdn.apollographql.com/_latest/embeddable-sandbox.umd.production.min.js';
/** In a network that drops packets the request for the script would hang for minutes. */
const SCRIPT_WAIT_MS = 5000;

export interface ExplorerOptions {
  /** Path of the API. */
  readonly endpoint: string;
  /** Path of the console. Absent: no link to it. */
  readonly consolePath?: string | undefined;
  /** Path of the page that works offline. */
  readonly fallback: string;
  readonly token: string;
  readonly document: string;
}

export function sandboxPage({ endpoint, consolePath, fallback, token, document }: ExplorerOptions): string {
  const headers = exampleHeaders(token);
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Tasks API</title><style>
  html, body { height: 100%; margin: 0 }
  body { display: flex; flex-direction: column }
  #sandbox { flex: 1; min-height: 0 }
  nav { padding: 4px 12px; font: 13px system-ui; text-align: right; background: #1b2240 }
  nav a { color: #fff }
</style></head>
<body>
${consolePath === undefined ? '' : `<nav><a href="${consolePath}#/explain">See what the cache does: explain an operation</a></nav>`}
<div id="sandbox"><p>Loading Apollo Sandbox. <a href="${fallback}">The explorer that needs no network</a></p></div>
<script>
  const offline = () => location.replace(${inScript(fallback)});
  const waiting = setTimeout(offline, ${SCRIPT_WAIT_MS});
</script>
<script src="${SANDBOX_SCRIPT}" onerror="offline()"></script>
<script>
  clearTimeout(waiting);
  if (window.EmbeddedSandbox) {
    document.querySelector('#sandbox').replaceChildren();
    new window.EmbeddedSandbox({
      target: '#sandbox',
      initialEndpoint: location.origin + ${inScript(endpoint)},
      initialSubscriptionEndpoint: location.origin.replace(/^http/, 'ws') + ${inScript(endpoint)},
      initialState: { document: ${inScript(document)}, headers: ${inScript(headers)}, includeCookies: false, pollForSchemaUpdates: false },
    });
  }
</script>
<noscript>The explorer needs JavaScript; the API answers at ${endpoint}.</noscript>
</body>
</html>`;
}

export function offlinePage({ endpoint, consolePath, token, document }: ExplorerOptions): string {
  const headers = JSON.stringify(exampleHeaders(token), null, 2);
  const options = {
    endpoint,
    title: 'Tasks API',
    defaultQuery: document,
    headers,
    initialHeaders: headers,
    // A token of an earlier start would be kept, and refused.
    shouldPersistHeaders: false,
    // Tabs kept from an earlier visit have no headers.
    additionalHeaders: { authorization: `Bearer ${token}` },
    isHeadersEditorEnabled: true,
    defaultEditorToolsVisibility: 'headers',
    subscriptionsProtocol: 'WS',
    // The page does not send its headers over a WebSocket. It passes this on, although its types do not declare it.
    connectionParams: { authorization: `Bearer ${token}` },
  } as const;
  const page = renderGraphiQL(options).replace('<div id="root">', () => `${exampleFirst(document)}<div id="root">`);
  return consolePath === undefined ? page : page.replace(/<\/body>\s*<\/html>\s*$/, () => explainLink(consolePath));
}

/**
 * On a second visit GraphiQL restores its tabs and opens an empty one. It opens the operation of the address instead,
 * in the tab that has it already if there is one.
 */
function exampleFirst(document: string): string {
  return `<script>
  if (!new URLSearchParams(location.search).get('query'))
    history.replaceState({}, '', '?query=' + encodeURIComponent(${inScript(document)}));
</script>`;
}

/** Opens the operation in the console. GraphiQL keeps it in the address, and the variables in its tabs. */
function explainLink(consolePath: string): string {
  return `<style>
  #explain { position: fixed; top: 30px; right: 160px; font: 15px system-ui; color: #b3006b }
  @media (max-width: 900px) { #explain { top: auto; bottom: 28px; right: 28px } }
</style>
<a id="explain" href="${consolePath}#/explain">Explain in the console</a>
<script>
  document.querySelector('#explain').addEventListener('click', ({ currentTarget }) => {
    const { tabs = [], activeTabIndex } = JSON.parse(localStorage.getItem('graphiql:tabState') ?? '{}');
    const query = new URLSearchParams(location.search).get('query') ?? '';
    const variables = tabs[activeTabIndex]?.variables ?? '';
    currentTarget.hash = '/explain?' + new URLSearchParams({ query, variables });
  });
</script>
</body>
</html>`;
}

function exampleHeaders(token: string): Record<string, string> {
  return { authorization: `Bearer ${token}`, 'x-cache-trace': '1' };
}

/** JSON that cannot terminate the surrounding script element. */
function inScript(value: unknown): string {
  return JSON.stringify(value).replaceAll('<', '\\u003c');
}
