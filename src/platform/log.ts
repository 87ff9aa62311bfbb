/**
 * The log: one JSON object a line on stderr, so that a command's stdout is its result and nothing else. Tokens, passwords and
 * what clients wrote do not get into it, wherever in an error's texts they stand.
 */
import { type DestinationStream, destination, type Logger, pino, stdSerializers } from 'pino';

export type Log = Logger;

const HIDDEN = ['authorization', 'cookie', 'password', 'secret', 'token'];
/** What drivers hang on their errors: a command's or a statement's arguments, of which one may be a password or a text of a user's. */
const ARGUMENTS = ['params', 'parameters', 'args', 'command'].map((name) => `err.${name}`);

/** @param stream where to; for tests */
export function createLog(level: string, stream: DestinationStream = destination(2)): Log {
  const paths = HIDDEN.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);
  return pino(
    {
      level,
      redact: { paths: [...paths, ...ARGUMENTS], censor: '[hidden]' },
      serializers: { err: (error) => withoutParameters(withMessageOf(error, stdSerializers.err(error))) },
      hooks: { streamWrite: withoutSecrets },
    },
    stream,
  );
}

/** A line of the log in which nothing opens a door: passwords in addresses, tokens with or without their scheme. */
function withoutSecrets(line: string): string {
  return line
    .replaceAll(/([a-z][a-z0-9+.-]*:\/\/[^\s:/@"\\]*):[^\s/"\\]*@/gi, '$1:[hidden]@')
    .replaceAll(/([?&](?:ssl)?password=)[^&\s"\\]*/gi, '$1[hidden]')
    .replaceAll(/\b(Bearer|Basic)\s+[\w.~+/=-]+/gi, '$1 [hidden]')
    .replaceAll(/\beyJ[\w-]+\.[\w-]+\.[\w-]*/g, '[hidden]');
}

/** pino puts the messages of an error's causes behind its own. A cause whose message is a part of that already is left out. */
function withMessageOf(error: unknown, serialized: object): object {
  if (!isErrorLike(error)) return serialized;
  let message = error.message;
  const seen = new Set<unknown>([error]);
  let { cause } = error;
  while (isErrorLike(cause) && !seen.has(cause)) {
    seen.add(cause);
    if (!message.includes(cause.message)) message += `: ${cause.message}`;
    ({ cause } = cause);
  }
  return { ...serialized, message };
}

function isErrorLike(error: unknown): error is { message: string; cause?: unknown } {
  return typeof (error as { message?: unknown } | null | undefined)?.message === 'string';
}

/** Drizzle puts a statement's parameters into its errors' messages, to their ends. */
function withoutParameters(error: unknown): unknown {
  if (typeof error !== 'object' || error === null || !('message' in error)) return error;
  const { message, stack, ...rest } = error as { message?: unknown; stack?: unknown };
  return { ...rest, message: cut(message), stack: cut(stack) };
}

function cut(text: unknown): unknown {
  return typeof text === 'string' ? text.replaceAll(/\nparams: [\s\S]*?(?=\n {4}at |$)/g, '\nparams: [hidden]') : text;
}
