import { constants } from 'node:os';
import type { Duplex, Readable } from 'node:stream';
import type { Client, ClientChannel } from 'ssh2';
import { CommandStream } from './command-stream.ts';
import { MAX_OUTPUT_BYTES } from './constants.ts';
import { SshError } from './errors.ts';
import type { SshClient, SshRun, SshTarget } from './ssh-client.ts';

/** {@link SshClient} over a connection of `ssh2` that is logged in. */
export class Ssh2Client implements SshClient {
  readonly target: SshTarget;
  readonly closed: Promise<Error | undefined>;
  readonly #connection: Client;
  #reason: Error | undefined;
  #closedByUs = false;
  #over = false;

  constructor(target: SshTarget, connection: Client) {
    this.target = target;
    this.#connection = connection;
    const closed = Promise.withResolvers<Error | undefined>();
    this.closed = closed.promise;
    connection.on('error', (error: Error) => {
      this.#reason ??= error;
    });
    connection.on('close', () => {
      this.#over = true;
      closed.resolve(this.#closedByUs ? undefined : this.#lost());
    });
  }

  async run(command: string): Promise<SshRun> {
    return this.#open((done) => this.#connection.exec(command, done));
  }

  async output(
    command: string,
    input: string | Uint8Array = '',
  ): Promise<{ exitCode: number; stdout: string; stderr: string }> {
    const { stream, stderr, exitCode } = await this.run(command);
    // A command that reads nothing ends before it was told everything.
    stream.on('error', () => undefined);
    stream.end(input);
    const [out, errors] = await Promise.all([collect(stream), collect(stderr)]);
    return { exitCode: await exitCode, stdout: out, stderr: errors };
  }

  /** A connection to `host:port` as the machine there sees it. @throws SshError SSH_UNREACHABLE */
  async forward(host: string, port: number): Promise<Duplex> {
    try {
      const run = await this.#open((done) => this.#connection.forwardOut('127.0.0.1', 0, host, port, done));
      return run.stream;
    } catch (error) {
      throw new SshError(
        'SSH_UNREACHABLE',
        `${host} port ${port} cannot be reached from ${this.target.name}: check the ProxyJump of ssh_config.`,
        { cause: error },
      );
    }
  }

  close(): void {
    this.#closedByUs = true;
    this.#connection.end();
    this.#connection.destroy();
  }

  #open(ask: (done: (error: Error | undefined, channel: ClientChannel) => void) => void): Promise<SshRun> {
    return new Promise<SshRun>((resolve, reject) => {
      if (this.#over || this.#closedByUs) {
        reject(this.#lost());
        return;
      }
      void this.closed.then(() => reject(this.#lost()));
      try {
        ask((error, channel) => {
          // What it says may be here already, so there must be ears at once.
          if (error === undefined || error === null) resolve(new RunningCommand(channel, this.closed));
          else {
            reject(
              new SshError(
                'SSH_REFUSED_COMMAND',
                `${this.target.name} starts no command for ${this.target.user}: ${error.message}; see what its sshd allows this user.`,
                { cause: error },
              ),
            );
          }
        });
      } catch (error) {
        reject(this.#lost(error));
      }
    });
  }

  #lost(cause: unknown = this.#reason): SshError {
    const why = cause instanceof Error ? ` (${cause.message})` : '';
    return new SshError(
      'SSH_CLOSED',
      `The SSH connection to ${this.target.name} ended${why}: it is made again when it is needed.`,
      { cause },
    );
  }
}

class RunningCommand implements SshRun {
  readonly stream: Duplex;
  readonly stderr: Readable;
  readonly exitCode: Promise<number>;

  constructor(channel: ClientChannel, gone: Promise<unknown>) {
    this.stream = new CommandStream(channel, gone);
    this.stderr = channel.stderr;
    const { promise, resolve } = Promise.withResolvers<number>();
    this.exitCode = promise;
    channel.on('exit', (code: number | null, signal?: string) => resolve(code ?? signalCode(signal)));
    channel.on('close', () => resolve(-1));
    void gone.then(() => resolve(-1));
  }
}

/** As a shell tells of a process that a signal ended. */
function signalCode(signal: string | undefined): number {
  const name = `SIG${signal ?? ''}`;
  return 128 + (name in constants.signals ? constants.signals[name as NodeJS.Signals] : 0);
}

async function collect(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_OUTPUT_BYTES) {
      throw new SshError(
        'SSH_PROTOCOL',
        'A command run by SSH says more than 16 MiB: see what its shell prints when it starts.',
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
