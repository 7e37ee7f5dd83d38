import { readFile } from 'node:fs/promises';
import ssh2 from 'ssh2';
import { SshError } from './errors.ts';
import type { SshTarget } from './ssh-client.ts';

type LoginMethod = ssh2.PublicKeyAuthMethod | ssh2.AgentAuthMethod;

/** Why a private key file could not be used, as the end of a sentence about it. */
export interface IdentityTrouble {
  readonly file: string;
  readonly why: string;
}

/**
 * The ways to log in, in the order they are tried: key files as they are named, then the agent's keys.
 * Files that are not there, and those with a passphrase, are left out, as `ssh -o BatchMode=yes` does.
 * @throws SshError SSH_AUTH_FAILED where there is nothing to try
 */
export async function identitiesOf(
  target: SshTarget,
): Promise<{ methods: LoginMethod[]; troubles: IdentityTrouble[] }> {
  const troubles: IdentityTrouble[] = [];
  const methods: LoginMethod[] = [];
  const wanted: Buffer[] = [];
  const username = target.user;
  for (const file of target.identityFiles) {
    const bytes = await readKeyFile(file, troubles);
    if (bytes === undefined) continue;
    const key = ssh2.utils.parseKey(bytes);
    if (key instanceof Error) {
      troubles.push({ file, why: `cannot be used (${key.message})` });
    } else if (key.isPrivateKey()) {
      methods.push({ type: 'publickey', username, key });
      wanted.push(key.getPublicSSH());
    } else wanted.push(key.getPublicSSH());
  }
  if (target.agentSocket !== undefined) {
    const agent = target.identitiesOnly
      ? new NarrowedAgent(target.agentSocket, [...wanted, ...(await publicHalves(target.identityFiles))])
      : target.agentSocket;
    methods.push({ type: 'agent', username, agent });
  }
  if (methods.length === 0) {
    const why = troubles.map(({ file, why }) => ` ${file} ${why}.`).join('');
    throw new SshError(
      'SSH_AUTH_FAILED',
      `There is no key to log in to ${target.name} with: name an identity file, or run an SSH agent.${why}`,
    );
  }
  return { methods, troubles };
}

async function readKeyFile(file: string, troubles: IdentityTrouble[]): Promise<Buffer | undefined> {
  try {
    return await readFile(file);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT') troubles.push({ file, why: `cannot be read (${message})` });
    else if (!/\/id_(rsa|ecdsa|ed25519)$/.test(file)) troubles.push({ file, why: 'does not exist' });
    return undefined;
  }
}

/** Of keys whose private half only the agent can use: `FILE.pub`. */
async function publicHalves(files: readonly string[]): Promise<Buffer[]> {
  const ignored: IdentityTrouble[] = [];
  const texts = await Promise.all(files.map((file) => readKeyFile(`${file}.pub`, ignored)));
  return texts.flatMap((text) => {
    const key = text === undefined ? undefined : ssh2.utils.parseKey(text);
    return key === undefined || key instanceof Error ? [] : [key.getPublicSSH()];
  });
}

/** An SSH agent of whose keys only some count. */
class NarrowedAgent extends ssh2.OpenSSHAgent {
  readonly #wanted: readonly Buffer[];

  constructor(socketPath: string, wanted: readonly Buffer[]) {
    super(socketPath);
    this.#wanted = wanted;
  }

  override getIdentities(callback: ssh2.IdentityCallback<ssh2.ParsedKey>): void {
    super.getIdentities((error, keys) => {
      if (error || keys === undefined) {
        callback(error);
        return;
      }
      callback(
        undefined,
        keys.filter(
          (key) => 'getPublicSSH' in key && this.#wanted.some((wanted) => wanted.equals(key.getPublicSSH())),
        ),
      );
    });
  }
}
