/**
 * A fault in the environment, or in what it names, that the operator can fix: the message is all there is to print. In
 * a file of its own for commands that do not read the whole configuration.
 */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly code = 'CONFIG';
}
