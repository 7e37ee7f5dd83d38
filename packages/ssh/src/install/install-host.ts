import { setTimeout as sleep } from 'node:timers/promises';
import * as v from 'valibot';
import type { SshClient, SshTarget } from '../ssh-client.ts';
import {
  AGENT_START_TIMEOUT_S,
  CURRENT,
  LOG_FILE,
  MAX_PROBE_BYTES,
  SEEN_LOOK_MS,
  SEEN_TIMEOUT_MS,
  STATE_DIR,
} from './constants.ts';
import { InstallError } from './errors.ts';
import { type HostFacts, PROBE, parseFacts } from './host-facts.ts';
import type { InstallStep, InstallWish, StepName } from './install-step.ts';
import { nixosConfiguration } from './nixos-configuration.ts';
import { planInstall, planUninstall } from './plan.ts';
import { installRefusal, type Means, uninstallRefusal } from './refusal.ts';
import type { Release, ReleaseSource } from './release-source.ts';
import { importScript, unpackScript } from './root-scripts.ts';
import { RemoteShell } from './root-shell.ts';

/** The mesh that machines are to join, as the agent of this machine knows it. */
export interface MeshSide {
  readonly meshId: string;
  /** A ticket for one machine. */
  invite(): Promise<string>;
  /** The name a connected member has; undefined while it is not connected. */
  connectedAs(peerId: string): Promise<string | undefined>;
  /** Takes a member out for ever; nothing where it is none. */
  remove(peerId: string): Promise<void>;
}

/** A line of progress: one a step. */
export interface StepLine {
  readonly step: StepName;
  readonly text: string;
  /** How long it took. */
  readonly ms: number;
}

export interface HostRun {
  connect(): Promise<SshClient>;
  readonly mesh: MeshSide;
  readonly means: Means & { readonly password?: string };
  readonly onStep: (line: StepLine) => void;
}

/** How it ended for one machine. */
export interface HostOutcome {
  readonly result: 'installed' | 'up to date' | 'not started' | 'uninstalled' | 'nixos';
  /** Its name in the mesh. */
  readonly member?: string;
  /** What to add to the configuration of a NixOS machine. */
  readonly configuration?: string;
}

export interface InstallInit extends HostRun {
  readonly releases: Pick<ReleaseSource, 'for'>;
  readonly units: InstallWish['units'];
  /** Leave a mesh with other members for this one. */
  readonly force: boolean;
  /** For a NixOS machine's configuration. */
  readonly peerAddresses: readonly string[];
}

/**
 * Makes a machine a member: connects, finds out what it is, and does what is left to do.
 * @throws InstallError INSTALL_REFUSED before anything changed, else INSTALL_FAILED, INSTALL_NOT_SEEN; SshError
 */
export async function installHost(init: InstallInit): Promise<HostOutcome> {
  const { onStep, means, mesh } = init;
  await using machine = await Machine.connect(init);
  const { facts } = machine;
  if (facts.nixos) {
    onStep({ step: 'probe', text: 'NixOS: its configuration is changed by nobody but its owner', ms: 0 });
    return { result: 'nixos', configuration: nixosConfiguration(machine.target, init.peerAddresses) };
  }
  machine.refuse(installRefusal(facts, means));
  await machine.checkPassword();
  const release = await init.releases.for(facts.platform!);
  const { units } = init;
  const steps = planInstall(facts, { release, service: means.service, units });
  let changed = false;
  let peerId = '';
  let member: string | undefined;
  for (const step of steps) {
    const began = performance.now();
    const say = (text: string) => onStep({ step: step.name, text, ms: performance.now() - began });
    switch (step.action?.do) {
      case undefined:
        say(step.says);
        continue;
      case 'script':
        await machine.asRoot(step, step.action.script);
        changed = true;
        say(step.says);
        break;
      case 'copy':
        await machine.send(step, release);
        changed = true;
        say(step.says + sizeOf(release));
        break;
      case 'join': {
        const joined = await machine.join(step, mesh, init.force);
        changed ||= joined.now;
        ({ peerId } = joined);
        say(joined.now ? `joined as ${joined.name}` : `is a member already, ${joined.name}`);
        break;
      }
      case 'see':
        member = await untilSeen(mesh, peerId);
        say(`${member} is connected`);
        break;
      case 'leave':
        throw new TypeError('Nobody leaves while installing.');
    }
  }
  if (member === undefined) return { result: 'not started' };
  return { result: changed ? 'installed' : 'up to date', member };
}

/**
 * Takes everything off a machine that an installation put there.
 * @throws InstallError INSTALL_REFUSED, INSTALL_FAILED; SshError
 */
export async function uninstallHost(init: HostRun & { readonly keepState: boolean }): Promise<HostOutcome> {
  await using machine = await Machine.connect(init);
  const { facts } = machine;
  machine.refuse(uninstallRefusal(facts, init.means));
  await machine.checkPassword();
  for (const step of planUninstall(facts, init)) {
    const began = performance.now();
    if (step.action?.do === 'leave') await init.mesh.remove(step.action.peerId);
    if (step.action?.do === 'script') await machine.asRoot(step, step.action.script);
    init.onStep({ step: step.name, text: step.says, ms: performance.now() - began });
  }
  return { result: 'uninstalled' };
}

async function untilSeen(mesh: MeshSide, peerId: string): Promise<string> {
  const deadline = performance.now() + SEEN_TIMEOUT_MS;
  for (;;) {
    const name = await mesh.connectedAs(peerId);
    if (name !== undefined) return name;
    if (performance.now() > deadline)
      throw new InstallError(
        'INSTALL_NOT_SEEN',
        `it joined and is not connected after ${SEEN_TIMEOUT_MS / 1000} s; see whether a firewall closes TCP 4747 or 4748 there, and \`mesh doctor\` on both machines`,
      );
    await sleep(SEEN_LOOK_MS);
  }
}

const statusSchema = v.object({ peerId: v.string(), meshId: v.string(), name: v.string() });

/** One machine, connected. */
class Machine implements AsyncDisposable {
  readonly facts: HostFacts;
  readonly #client: SshClient;
  readonly #password: string | undefined;

  private constructor(client: SshClient, facts: HostFacts, password: string | undefined) {
    this.#client = client;
    this.facts = facts;
    this.#password = password;
  }

  static async connect({ connect, onStep, means }: HostRun): Promise<Machine> {
    let began = performance.now();
    const client = await connect();
    const { host, port, user } = client.target;
    onStep({ step: 'connect', text: `${user}@${host}:${port}`, ms: performance.now() - began });
    try {
      began = performance.now();
      const text = await RemoteShell.asUser(client).run(PROBE);
      if (text.length > MAX_PROBE_BYTES)
        throw new InstallError(
          'INSTALL_PROBE_FAILED',
          'its login shell prints more than any machine has to say',
        );
      const facts = parseFacts(text);
      onStep({ step: 'probe', text: describe(facts), ms: performance.now() - began });
      return new Machine(client, facts, means.password);
    } catch (error) {
      client.close();
      throw error;
    }
  }

  get target(): SshTarget {
    return this.#client.target;
  }

  refuse(sentence: string | undefined): void {
    if (sentence !== undefined) throw new InstallError('INSTALL_REFUSED', sentence);
  }

  /** Before anything is packed and sent. */
  async checkPassword(): Promise<void> {
    if (this.facts.root !== 'sudo-password') return;
    try {
      await this.#root.run(':');
    } catch (cause) {
      if (!(cause instanceof InstallError)) throw cause;
      throw new InstallError(
        'INSTALL_REFUSED',
        `sudo does not let this user become root there (${cause.message})`,
        {
          cause,
        },
      );
    }
  }

  async asRoot(step: InstallStep, script: string): Promise<string> {
    try {
      return await this.#root.run(script);
    } catch (error) {
      throw named(step, error);
    }
  }

  async send(step: InstallStep, release: Release): Promise<void> {
    const script =
      release.kind === 'bundle'
        ? unpackScript(release.id)
        : importScript(release.id, this.facts.nixBin ?? '/usr/bin');
    try {
      await this.#root.feed(script, await release.open());
    } catch (error) {
      throw named(step, error);
    }
  }

  /** The agent there, a member of this mesh: by a new ticket unless it was one. */
  async join(
    step: InstallStep,
    mesh: MeshSide,
    force: boolean,
  ): Promise<{ peerId: string; name: string; now: boolean }> {
    const before = await this.#status(step);
    if (before.meshId === mesh.meshId) return { ...before, now: false };
    const ticket = await mesh.invite();
    if (!/^[\w-]+$/.test(ticket)) throw new TypeError('A ticket is one word.');
    await this.asRoot(step, `${this.#mesh} join${force ? ' --force' : ''} <<'TICKET'\n${ticket}\nTICKET`);
    return { ...(await this.#status(step)), now: true };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client.close();
  }

  get #root(): RemoteShell {
    const { root } = this.facts;
    if (root === 'none') throw new InstallError('INSTALL_REFUSED', 'this user cannot become root');
    return RemoteShell.asRoot(this.#client, root, this.#password);
  }

  get #mesh(): string {
    const sockets = this.facts.platform?.platform === 'darwin' ? `${STATE_DIR}/run` : '/run/mesh';
    return `MESH_SOCKET_DIR=${sockets} ${CURRENT}/bin/mesh`;
  }

  /** Who the agent is, once it answers. */
  async #status(step: InstallStep): Promise<v.InferOutput<typeof statusSchema>> {
    const log = `{ journalctl --quiet --no-pager --output=cat --lines=1 --unit=mesh 2>/dev/null || tail -n 1 ${LOG_FILE} 2>/dev/null; }`;
    const text = await this.asRoot(
      step,
      `deadline=$(($(date +%s) + ${AGENT_START_TIMEOUT_S}))
until ${this.#mesh} status --json 2>/dev/null; do
  if [ "$(date +%s)" -gt "$deadline" ]; then echo "the agent does not answer; its log ends with: $(${log})" >&2; exit 1; fi
  sleep 0.3
done`,
    );
    return v.parse(statusSchema, JSON.parse(text));
  }
}

function named(step: InstallStep, error: unknown): unknown {
  if (!(error instanceof InstallError)) return error;
  return new InstallError(error.code, `the step "${step.name}" failed: ${error.message}`, { cause: error });
}

function describe(facts: HostFacts): string {
  const { kernel, machine, nixVersion, serviceManager } = facts;
  const nix = nixVersion === undefined ? 'no Nix' : `Nix ${nixVersion}`;
  return `${kernel} ${machine}, ${nix}, ${serviceManager === 'none' ? 'no service manager' : serviceManager}`;
}

function sizeOf(release: Release): string {
  const bytes = release.bytes();
  return bytes === undefined ? '' : ` (${Math.round(bytes / 1e6)} MB)`;
}
