/** One live query on a connection of its own, over a WebSocket or as server-sent events. */
import { request } from 'node:http';
import { WebSocket } from 'ws';

export type Transport = 'WebSocket' | 'server-sent events';

export interface LiveConnection {
  close(): void;
}

interface Hears {
  /** The payload of a `next`. */
  next(text: string): void;
  /** Once. `why`: for the report. */
  ended(why: string): void;
}

export function openLive(
  transport: Transport,
  { port, headers, body }: { port: number; headers: Readonly<Record<string, string>>; body: object },
  hears: Hears,
): LiveConnection {
  let isOver = false;
  const once: Hears = {
    next: (text) => {
      if (!isOver) hears.next(text);
    },
    ended: (why) => {
      if (isOver) return;
      isOver = true;
      hears.ended(why);
    },
  };
  const opened = transport === 'WebSocket' ? openSocket : openEvents;
  return opened(port, headers, body, once);
}

function openSocket(port: number, headers: Readonly<Record<string, string>>, body: object, hears: Hears) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/graphql`, 'graphql-transport-ws');
  const send = (message: object) => socket.send(JSON.stringify(message));
  const token = headers['authorization']?.replace('Bearer ', '');
  socket.on('open', () => send({ type: 'connection_init', payload: { token } }));
  socket.on('message', (data) => {
    const message = JSON.parse(String(data)) as { type: string; payload?: unknown };
    if (message.type === 'connection_ack') send({ type: 'subscribe', id: '1', payload: body });
    else if (message.type === 'next') hears.next(JSON.stringify(message.payload));
    else if (message.type === 'error') end(`refused: ${JSON.stringify(message.payload)}`);
    else if (message.type === 'complete') end('refused: it is complete');
  });
  const end = (why: string) => {
    hears.ended(why);
    socket.terminate();
  };
  socket.on('error', (error) => end(error.message));
  socket.on('close', (code) => end(`closed with ${code}`));
  return { close: () => end('left') };
}

function openEvents(port: number, headers: Readonly<Record<string, string>>, body: object, hears: Hears) {
  const accept = { accept: 'text/event-stream', 'content-type': 'application/json' };
  const sent = request({
    ...{ host: '127.0.0.1', port, path: '/graphql', method: 'POST', agent: false },
    headers: { ...headers, ...accept },
  });
  const end = (why: string) => {
    hears.ended(why);
    sent.destroy();
  };
  sent.on('error', (error) => end(error.message));
  sent.on('response', (response) => {
    let text = '';
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => {
      text += chunk;
      if (response.statusCode !== 200) return;
      const events = text.split('\n\n');
      text = events.pop() as string;
      for (const event of events) {
        if (event.startsWith('event: next\ndata: ')) hears.next(event.slice('event: next\ndata: '.length));
        else if (event.startsWith('event: complete')) end('refused: it is complete');
      }
    });
    response.on('error', (error) => end(error.message));
    response.on('close', () =>
      end(response.statusCode === 200 ? 'the response ended' : `refused: ${text.slice(0, 300)}`),
    );
  });
  sent.end(JSON.stringify(body));
  return { close: () => end('left') };
}
