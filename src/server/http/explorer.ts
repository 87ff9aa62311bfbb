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
  /** Path of the page that works offline. */
  readonly fallback: string;
  readonly token: string;
  readonly document: string;
}

export function sandboxPage({ endpoint, fallback, token, document }: ExplorerOptions): string {
  const headers = exampleHeaders(token);
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Tasks API</title><style>html, body, #sandbox { height: 100%; margin: 0 }</style></head>
<body>
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

export function offlinePage({ endpoint, token, document }: ExplorerOptions): string {
  const options = {
    endpoint,
    title: 'Tasks API',
    defaultQuery: document,
    headers: JSON.stringify(exampleHeaders(token), null, 2),
    isHeadersEditorEnabled: true,
    defaultEditorToolsVisibility: 'headers',
    subscriptionsProtocol: 'WS',
    // The page does not send its headers over a WebSocket. It passes this on, although its types do not declare it.
    connectionParams: { authorization: `Bearer ${token}` },
  } as const;
  return renderGraphiQL(options);
}

function exampleHeaders(token: string): Record<string, string> {
  return { authorization: `Bearer ${token}`, 'x-cache-trace': '1' };
}

/** JSON that cannot terminate the surrounding script element. */
function inScript(value: unknown): string {
  return JSON.stringify(value).replaceAll('<', '\\u003c');
}
