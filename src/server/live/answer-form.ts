/**
 * The forms in which a client gets the answers of a live query: each as a whole, or what has changed in it as a JSON
 * Patch (RFC 6902), in the format of the live query tools of n1ru4l.
 */
import { createPatch, type Operation } from 'rfc6902';
import { diffLists } from './list-diff.js';

/** Writes an answer, which is a response's body, for one client. Called for each answer that is sent, in their order. */
export type AnswerForm = (text: string) => string;

/** From this size on answers are sent as a whole: to compare two of them takes milliseconds. In characters. */
const MAX_COMPARED_CHARS = 256 * 1024;
const DATA = '{"data":';

/** The body of the response by POST. */
export const wholeAnswers: AnswerForm = (text) => text;

/**
 * With a number that rises by one from message to message: `{"data":…,"revision":1}`, then the shorter of that and
 * `{"patch":[…],"revision":2}`. What has errors, and what comes after it, is whole.
 */
export function patchedAnswers(): AnswerForm {
  let before: string | undefined;
  let revision = 0;
  return (text) => {
    revision++;
    const whole = `${text.slice(0, -1)},"revision":${revision}}`;
    const patch = before === undefined ? undefined : patchOf(before, text);
    before = text;
    if (patch === undefined) return whole;
    const patched = `{"patch":${patch},"revision":${revision}}`;
    return patched.length < whole.length ? patched : whole;
  };
}

function patchOf(before: string, text: string): string | undefined {
  if (Math.max(before.length, text.length) > MAX_COMPARED_CHARS) return undefined;
  if (!before.startsWith(DATA) || !text.startsWith(DATA)) return undefined; // an answer with errors begins with them
  const [{ data: from }, { data: to }] = [JSON.parse(before), JSON.parse(text)];
  const operations: Operation[] = createPatch(from, to, diffLists);
  return JSON.stringify(operations);
}
