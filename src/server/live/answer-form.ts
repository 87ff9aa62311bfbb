/**
 * The forms in which a client is sent the answers of a query: each one whole, or as a JSON Patch (RFC 6902) of the one
 * before, in the format of n1ru4l's live query tools.
 */
import type { PatchedAnswer } from './patches.js';

/**
 * Writes an answer for one client. Called for each answer that is sent, in their order.
 * @param before the digest of the answer that the client was sent last. Undefined: it was sent none
 */
export type AnswerForm = (answer: PatchedAnswer, before: string | undefined) => string;

/** Each answer is the body of the response to the same query by POST. */
export const wholeAnswers: AnswerForm = ({ text }) => text;

/**
 * Numbers the messages from 1. The first is `{"data":…,"revision":1}`; each further one is the shorter of
 * `{"data":…,"revision":2}` and `{"patch":[…],"revision":2}`. An answer is whole if it has errors, if the one before
 * had some, or if this client was not sent the one before.
 */
export function patchedAnswers(): AnswerForm {
  let revision = 0;
  return ({ text, patch }, before) => {
    revision++;
    const whole = `${text.slice(0, -1)},"revision":${revision}}`;
    if (patch === undefined || patch.from !== before) return whole;
    const patched = `{"patch":${patch.operations},"revision":${revision}}`;
    return patched.length < whole.length ? patched : whole;
  };
}
