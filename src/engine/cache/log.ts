/** Where the engine reports what an operator should know. pino and most other loggers fit. */
export interface Log {
  debug(details: object, message: string): void;
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
}
