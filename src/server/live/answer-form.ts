/**
 * The forms in which a client gets the answers of a live query: each as a whole, or what has changed in it as a JSON
 * Patch (RFC 6902), in the format of the live query tools of n1ru4l.
 */
import type { PatchedAnswer } from './patches.js';

/**
 * Writes an answer for one client. Called for each answer that is sent, in their order.
 * @param before the digest of the answer that the client was sent last
 */
export type AnswerForm = (answer: PatchedAnswer, before: string | undefined) => string;

/** The body of the response by POST. */
export const wholeAnswers: AnswerForm = ({ text }) => text;

/**
 * With a number that rises by one from message to message: `{"data":…,"revision":1}`, then the shorter of that and
 * `{"patch":[…],"revision":2}`. What has errors, what comes after it, and what comes after an answer that this client
 * was not sent, is whole.
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
