/** A client that asks its questions by POST once a second, one after the other. */
import { Agent } from 'node:http';
import { sleep } from '../../chaos/wait.js';
import { post } from '../post.js';
import type { Answers, Payload } from './answers.js';
import type { ClientConnection } from './protocol.js';

const POLL_EVERY_MS = 1000;

export class Poller {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #connection: ClientConnection;
  readonly #answers: Answers;
  readonly #first: number;

  /** @param first number of its first question */
  constructor(connection: ClientConnection, answers: Answers, first: number) {
    this.#connection = connection;
    this.#answers = answers;
    this.#first = first;
  }

  /** Resolves after the first round; the others follow. */
  async begin(): Promise<void> {
    await this.#round();
    void this.#poll();
  }

  async #poll(): Promise<void> {
    await sleep(Math.random() * POLL_EVERY_MS); // else all would poll at once
    for (let nextMs = performance.now(); ; ) {
      nextMs = Math.max(nextMs + POLL_EVERY_MS, performance.now());
      await this.#round().catch((error) => this.#answers.problem(String(error)));
      await sleep(Math.max(0, nextMs - performance.now()));
    }
  }

  async #round(): Promise<void> {
    const { url, token, questions } = this.#connection;
    const options = { url, agent: this.#agent, headers: { authorization: `Bearer ${token}` } };
    for (const [i, question] of questions.entries()) {
      this.#answers.receive(this.#first + i, JSON.parse(await post(JSON.stringify(question), options)) as Payload);
    }
  }
}
