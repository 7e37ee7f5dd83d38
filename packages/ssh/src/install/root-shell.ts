import type { Readable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import type { SshClient } from '../ssh-client.ts';
import { InstallError } from './errors.ts';
import { shellCommand } from './shell-quote.ts';

/** Services and programs of root are here; a login by SSH often has less. */
const PATH =
  'PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/nix/var/nix/profiles/default/bin:/run/current-system/sw/bin"';

/** Runs scripts on another machine, as the user who logs in or as root. */
export class RemoteShell {
  readonly #client: SshClient;
  /** What makes the words after it root's, and what it reads from stdin first. */
  readonly #prefix: readonly string[];
  readonly #password: string;

  private constructor(client: SshClient, prefix: readonly string[], password: string) {
    this.#client = client;
    this.#prefix = prefix;
    this.#password = password;
  }

  static asUser(client: SshClient): RemoteShell {
    return new RemoteShell(client, [], '');
  }

  /** @param sudoPassword undefined where sudo asks for none */
  static asRoot(
    client: SshClient,
    root: 'is-root' | 'sudo' | 'sudo-password',
    sudoPassword = '',
  ): RemoteShell {
    if (root === 'is-root') return new RemoteShell(client, [], '');
    if (root === 'sudo') return new RemoteShell(client, ['sudo', '-n'], '');
    // -k: sudo asks in any case. One that remembers an earlier answer would leave the password for the script to read.
    return new RemoteShell(client, ['sudo', '-k', '-S', '-p', ''], `${sudoPassword}\n`);
  }

  /**
   * Runs a script and gives what it printed. It goes there on stdin, as one block that is read to its end before it begins: no login
   * shell bends its quotes, and half of one never runs.
   * @throws InstallError INSTALL_FAILED with the last thing it said
   */
  async run(script: string): Promise<string> {
    const text = `${PATH}\nexport PATH\nset -eu\n{\n${script}\n} </dev/null\n`;
    const command = shellCommand(...this.#prefix, 'sh', '-s');
    const { exitCode, stdout, stderr } = await this.#client.output(command, this.#password + text);
    if (exitCode !== 0) throw failed(exitCode, stderr);
    return stdout;
  }

  /** Runs a script of one line with a stream on its stdin. @throws InstallError INSTALL_FAILED */
  async feed(script: string, input: Readable): Promise<void> {
    const running = await this.#client.run(shellCommand(...this.#prefix, 'sh', '-c', script));
    const said: Buffer[] = [];
    running.stderr.on('data', (chunk: Buffer) => said.push(chunk));
    running.stream.resume();
    const errors = finished(running.stderr).catch(() => undefined);
    if (this.#password !== '') running.stream.write(this.#password);
    // A script that fails closes its stdin: what it said tells more than that.
    const sent = pipeline(input, running.stream).then(
      () => undefined,
      (error: unknown) => error,
    );
    const exitCode = await running.exitCode;
    input.destroy();
    await Promise.all([errors, sent]);
    if (exitCode !== 0) throw failed(exitCode, Buffer.concat(said).toString('utf8'));
  }
}

function failed(exitCode: number, stderr: string): InstallError {
  const last = stderr.trim().split('\n').at(-1)?.trim() ?? '';
  const why = exitCode === -1 ? 'the connection went away' : last === '' ? `exit code ${exitCode}` : last;
  return new InstallError('INSTALL_FAILED', why);
}
