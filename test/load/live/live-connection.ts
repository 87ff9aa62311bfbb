/** A WebSocket with live queries, in the protocol graphql-transport-ws. */
import { once } from 'node:events';
import { WebSocket } from 'ws';
import type { Answers, Payload } from './answers.js';
import type { ClientConnection } from './protocol.js';

const PROTOCOL = 'graphql-transport-ws';

interface Message {
  readonly type: string;
  /** Number of a question, as text. */
  readonly id?: string;
  readonly payload?: Payload;
}

export class LiveConnection {
  readonly #socket: WebSocket;
  readonly #answers: Answers;
  readonly #unanswered = new Map<string, () => void>();
  #acknowledged = () => {};

  private constructor(url: string, answers: Answers) {
    this.#answers = answers;
    this.#socket = new WebSocket(url.replace('http', 'ws'), PROTOCOL, { perMessageDeflate: false });
    this.#socket.on('message', (text: Buffer) => this.#receive(JSON.parse(text.toString()) as Message));
    this.#socket.on('close', (code) => answers.problem(`a WebSocket was closed with ${code}`));
  }

  static async open({ url, token }: ClientConnection, answers: Answers): Promise<LiveConnection> {
    const connection = new LiveConnection(url, answers);
    await once(connection.#socket, 'open');
    const acknowledged = new Promise<void>((resolve) => {
      connection.#acknowledged = resolve;
    });
    connection.#send({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } });
    await acknowledged;
    return connection;
  }

  /** @param first number of the first question. Resolves when each has been answered once */
  async subscribe(questions: ClientConnection['questions'], first: number): Promise<void> {
    const answered = questions.map((payload, i) => {
      const id = String(first + i);
      const done = new Promise<void>((resolve) => this.#unanswered.set(id, resolve));
      this.#send({ type: 'subscribe', id, payload });
      return done;
    });
    await Promise.all(answered);
  }

  #receive({ type, id = '', payload = {} }: Message): void {
    if (type === 'connection_ack') this.#acknowledged();
    else if (type === 'ping') this.#send({ type: 'pong' });
    else {
      if (type === 'next') this.#answers.receive(Number(id), payload);
      else this.#answers.problem(`a live query ended: ${type} ${JSON.stringify(payload)}`);
      this.#answered(id);
    }
  }

  #answered(id: string): void {
    this.#unanswered.get(id)?.();
    this.#unanswered.delete(id);
  }

  #send(message: object): void {
    this.#socket.send(JSON.stringify(message));
  }
}
