/** One level of a logger: a message, or details (fields) and a message. The shape of pino's. */
export interface LogMethod {
  (message: string): void;
  (details: object, message: string): void;
}

/** What a part needs of a logger. */
export interface Logger {
  readonly debug: LogMethod;
  readonly info: LogMethod;
  readonly warn: LogMethod;
  readonly error: LogMethod;
}

const silent: LogMethod = () => undefined;

/** A logger that says nothing. */
export const silentLogger: Logger = { debug: silent, info: silent, warn: silent, error: silent };
