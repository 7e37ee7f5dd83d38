import { DaemonClient } from '@mesh/nix';
import { connectSsh, type SshClient, type SshRun, type SshTarget } from '@mesh/ssh';
import { AgentError } from '../errors.ts';
import { COMPLAINT_CHARACTERS, SESSIONS_PER_CONNECTION } from './constants.ts';

interface Connection {
  readonly client: SshClient;
  sessions: number;
}

/** Commands on one machine over kept SSH connections: as many of those as the sessions need. */
export class SshSessions {
  readonly #target: SshTarget;
  readonly #warn: (sentence: string) => void;
  readonly #connections: Connection[] = [];
  #opening: Promise<Connection> | undefined;
  #closed = false;
  readonly #gone = Promise.withResolvers<Error | undefined>();

  private constructor(target: SshTarget, warn: (sentence: string) => void) {
    this.#target = target;
    this.#warn = warn;
  }

  /** Connects once. @throws SshError */
  static async open(target: SshTarget, warn: (sentence: string) => void): Promise<SshSessions> {
    const sessions = new SshSessions(target, warn);
    await sessions.#connect();
    return sessions;
  }

  /** The name or address connected with. */
  get host(): string {
    return this.#target.host;
  }

  /** Who is logged in there. */
  get user(): string {
    return this.#target.user;
  }

  /** Resolves when one of the connections is gone, with the reason unless it was closed here. */
  get gone(): Promise<Error | undefined> {
    return this.#gone.promise;
  }

  /** Runs a command. @throws SshError */
  async run(command: string): Promise<SshRun> {
    const connection = await this.#withRoom();
    connection.sessions += 1;
    try {
      const run = await connection.client.run(command);
      void run.exitCode.then(() => {
        connection.sessions -= 1;
      });
      return run;
    } catch (error) {
      connection.sessions -= 1;
      throw error;
    }
  }

  /**
   * A nix-daemon behind a command. What that says on stderr goes into the error where it ends before it has greeted.
   * @throws SshError; NixError; AgentError WORK_MACHINE_FAILURE
   */
  async daemon(command: string): Promise<DaemonClient> {
    const run = await this.run(command);
    let complaint = '';
    run.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaint = (complaint + text).slice(-COMPLAINT_CHARACTERS);
    });
    try {
      return await DaemonClient.connect({ open: async () => run.stream });
    } catch (error) {
      const said = complaint.trim().split('\n').at(-1) ?? '';
      if (said === '') throw error;
      throw new AgentError(
        'WORK_MACHINE_FAILURE',
        `\`${command}\` does not work on ${this.#target.name} (${said}): see that Nix is installed there and in the PATH of SSH commands.`,
        { cause: error },
      );
    }
  }

  close(): void {
    this.#closed = true;
    for (const { client } of this.#connections) client.close();
    this.#gone.resolve(undefined);
  }

  async #withRoom(): Promise<Connection> {
    const free = this.#connections.find(({ sessions }) => sessions < SESSIONS_PER_CONNECTION);
    if (free !== undefined) return free;
    this.#opening ??= this.#connect().finally(() => {
      this.#opening = undefined;
    });
    await this.#opening;
    return this.#withRoom();
  }

  async #connect(): Promise<Connection> {
    const client = await connectSsh(this.#target, { warn: this.#warn });
    if (this.#closed) client.close();
    const connection = { client, sessions: 0 };
    this.#connections.push(connection);
    // Half of a machine is none: what runs on the other connections would be told apart from the rest by luck alone.
    void client.closed.then((reason) => {
      if (!this.#closed) this.#gone.resolve(reason);
    });
    return connection;
  }
}
