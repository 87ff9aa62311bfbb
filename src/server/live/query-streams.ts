/** Answers accepted queries to clients that stay connected: live ones until the client leaves, others once. */
import type { Cache, LiveMembership } from '../../engine/cache/index.js';
import { tooManyUnread } from '../http/unread-responses.js';
import { patchedAnswers, wholeAnswers } from './answer-form.js';
import { AnswerStream, type AnswerStreamOptions } from './answer-stream.js';
import type { LiveRuns } from './live-runs.js';
import type { AcceptedQuery, QueryAnswers } from './query-answers.js';
import { WaitingAnswers } from './waiting-answers.js';

export interface QueryStreamsOptions {
  readonly cache: Cache;
  readonly answers: QueryAnswers;
  readonly runs: LiveRuns;
  /** Maximum length of all answers that wait for slow clients, in characters. Default MAX_UNREAD_BYTES. */
  readonly maxUnreadBytes?: number | undefined;
}

export class QueryStreams {
  readonly #options: QueryStreamsOptions;
  readonly #waiting: WaitingAnswers;

  constructor(options: QueryStreamsOptions) {
    this.#options = options;
    this.#waiting = new WaitingAnswers(options.maxUnreadBytes);
  }

  /** @throws TOO_MANY_SUBSCRIPTIONS if the process has its maximum of live queries */
  open(query: AcceptedQuery, to: Omit<AnswerStreamOptions, 'form' | 'wantsPatches' | 'hold' | 'again'>): AnswerStream {
    const { live, caller } = query;
    const wantsPatches = live?.patch === true;
    let membership: LiveMembership | undefined;
    const stream = new AnswerStream({
      ...to,
      form: wantsPatches ? patchedAnswers() : wholeAnswers,
      wantsPatches,
      hold: (answer) => this.#waiting.hold(caller, answer),
      again: () => membership?.again(),
      onEnd() {
        membership?.leave();
        to.onEnd();
      },
    });
    if (live !== undefined) membership = this.#options.runs.join({ ...query, live }, stream);
    else void this.#answerOnce(query, stream);
    return stream;
  }

  async #answerOnce(query: AcceptedQuery, stream: AnswerStream): Promise<void> {
    const { cache, answers } = this.#options;
    const run = { readSet: cache.readSet({ answer: true }), signal: stream.signal, isFirst: true };
    const answer = await answers.run(query, run);
    if (stream.answeredOnce(await answers.write(answer))) return;
    stream.answeredOnce(await answers.write({ ...answer, result: { errors: [tooManyUnread()] } }));
  }
}
