/**
 * The log: one JSON object per line on stderr, so that the stdout of a command contains only its result. Tokens,
 * passwords and texts of users are removed, wherever they are in an error.
 */
import { type DestinationStream, destination, type Logger, pino, stdSerializers } from 'pino';

export type Log = Logger;

const HIDDEN = ['authorization', 'cookie', 'password', 'secret', 'token'];
/**
 * Members in which drivers put the arguments of a command or statement. An argument may be a password or a user's text.
 */
const ARGUMENTS = ['params', 'parameters', 'args', 'command'].map((name) => `err.${name}`);

/** @param stream the destination; for tests */
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

/** Removes secrets from a log line: passwords in URLs, and tokens with or without their scheme. */
function withoutSecrets(line: string): string {
  return line
    .replaceAll(/([a-z][a-z0-9+.-]*:\/\/[^\s:/@"\\]*):[^\s/"\\]*@/gi, '$1:[hidden]@')
    .replaceAll(/([?&](?:ssl)?password=)[^&\s"\\]*/gi, '$1[hidden]')
    .replaceAll(/\b(Bearer|Basic)\s+[\w.~+/=-]+/gi, '$1 [hidden]')
    .replaceAll(/\beyJ[\w-]+\.[\w-]+\.[\w-]*/g, '[hidden]');
}

/**
 * pino appends the messages of an error's causes to its own. A cause whose message is already part of it is omitted.
 */
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

/** Drizzle appends a statement's parameters to its error messages. */
function withoutParameters(error: unknown): unknown {
  if (typeof error !== 'object' || error === null || !('message' in error)) return error;
  const { message, stack, ...rest } = error as { message?: unknown; stack?: unknown };
  return { ...rest, message: cut(message), stack: cut(stack) };
}

function cut(text: unknown): unknown {
  return typeof text === 'string' ? text.replaceAll(/\nparams: [\s\S]*?(?=\n {4}at |$)/g, '\nparams: [hidden]') : text;
}
