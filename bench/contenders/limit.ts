/**
 * What no GraphQL server in Node can undercut: node:http and answers of this API, byte for byte as long as that gives them. `memory`: from a variable.
 * `redis`: by one GET of Redis each; what is not there is put there. A write is a question like any other.
 */
import { createServer, type IncomingMessage } from 'node:http';
import { options, ready } from './child.js';
import { redis, TTL_S } from './redis.js';

const { answers, mode } = options;
const NAME = /^\{"query":"\w+ (\w+)\(/;

function answerTo(body: string): string {
  return answers[NAME.exec(body)?.[1] ?? ''] ?? '{"errors":[{"message":"an unknown operation"}]}';
}

async function stored(body: string): Promise<string> {
  const found = await redis.get(body);
  if (found !== null) return found;
  const made = answerTo(body);
  void redis.set(body, made, 'EX', TTL_S);
  return made;
}

function bodyOf(request: IncomingMessage, then: (body: string) => void): void {
  let body = '';
  request.setEncoding('latin1');
  request.on('data', (chunk: string) => {
    body += chunk;
  });
  request.on('end', () => then(body));
}

const server = createServer((request, response) => {
  const send = (text: string) => {
    response.writeHead(200, {
      'content-type': 'application/json; charset=utf-8',
      'content-length': Buffer.byteLength(text),
    });
    response.end(text);
  };
  bodyOf(request, (body) => {
    if (mode === 'memory') send(answerTo(body));
    else stored(body).then(send, () => send('{"errors":[{"message":"Redis does not answer"}]}'));
  });
});
server.listen(0, '127.0.0.1', () => ready(server));
