import { SshError } from './errors.ts';

/** A machine as a person names it, before `ssh_config` had its say. */
export interface SshName {
  /** An alias of `ssh_config`, a host name, or an address. */
  readonly host: string;
  readonly user?: string;
  readonly port?: number;
}

const FORM =
  /^(?:ssh:\/\/)?(?:([^@/]+)@)?(\[[0-9a-fA-F:.]+(?:%[\w.-]+)?\]|[^@/:[\]]+|[0-9a-fA-F]*:[0-9a-fA-F:.]+)(?::(\d{1,5}))?\/?$/;

/** Reads `[ssh://][USER@]HOST[:PORT]`; an IPv6 address with a port stands in brackets. @throws SshError SSH_BAD_TARGET */
export function parseSshName(text: string): SshName {
  const bad = (): SshError =>
    new SshError(
      'SSH_BAD_TARGET',
      `${JSON.stringify(text)} names no machine: write [USER@]HOST or [USER@]HOST:PORT.`,
    );
  const found = FORM.exec(text);
  if (found === null) throw bad();
  const [, user, named, port] = found;
  const host = named!.replace(/^\[(.*)\]$/, '$1');
  const number = port === undefined ? undefined : Number(port);
  // A name that starts with a dash would be an option of every program it is handed to.
  if (host.startsWith('-') || user?.startsWith('-') === true || /[\s\0]/.test(text)) throw bad();
  if (number !== undefined && (number < 1 || number > 65_535)) throw bad();
  return {
    host,
    ...(user === undefined ? {} : { user }),
    ...(number === undefined ? {} : { port: number }),
  };
}
