import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { Socket } from 'node:net';
import { labAvailable } from './available.ts';
import { exec, sendSignal } from './command.ts';
import {
  BOOT_TIMEOUT_MS,
  DOWN_TIMEOUT_MS,
  HOST_PATH,
  LAB_NAME,
  MAX_HOSTS,
  STATE_VERSION,
  SUBNET_PREFIX,
} from './constants.ts';
import { LabError } from './errors.ts';
import { Host } from './host.ts';
import { type Image, imageDir } from './images.ts';
import { LineStream } from './line-stream.ts';
import { Bridge } from './network.ts';
import { nixConf } from './nix-conf.ts';
import { childrenOf } from './processes.ts';
import { repositoryRoot } from './repository.ts';
import { MAKE_SSH_KEYS, PREPARE, SUPERVISOR, WATCHER } from './scripts.ts';
import {
  claim,
  type HostState,
  identify,
  isRunning,
  type LabState,
  labDir,
  loadState,
  reap,
  remove,
  saveState,
} from './state.ts';
import { tracesOf } from './traces.ts';
import { until } from './wait.ts';

export interface LabOptions {
  /** Hosts are named h1, h2, … and reached at 10.77.0.1, 10.77.0.2, … or by name. */
  readonly hosts: number;
  /** For all hosts, or one for each. Default `sid`, the newest Nix. */
  readonly image?: Image | readonly Image[];
  /** Builds at once on each host (Nix's `max-jobs`). Default 2. */
  readonly slots?: number;
  readonly name?: string;
  /** Whether hosts run an SSH server, and root may log in from any of them to any other. Default false. */
  readonly sshd?: boolean;
  /** Further lines for `/etc/nix/nix.conf`. */
  readonly nixConf?: string;
  /** Added to the sandbox beside /bin/sh, each `path` or `inside=outside`. */
  readonly sandboxPaths?: readonly string[];
  /** Whether the LAN passes multicast. Default true. */
  readonly multicast?: boolean;
}

/** A LAN of hosts on this machine, in namespaces of its own. Leaves nothing behind, however its owner ends. */
export class Lab implements AsyncDisposable {
  readonly name: string;
  readonly hosts: readonly Host[];
  #state: LabState;
  /** Undefined for a lab that another process owns. */
  readonly #watcher: ChildProcess | undefined;

  private constructor(state: LabState, watcher: ChildProcess | undefined) {
    this.name = state.name;
    this.#state = state;
    this.#watcher = watcher;
    const { name: lab, multicast, sshd, supervisor } = state;
    const context = {
      lab,
      multicast,
      sshd,
      supervisor: supervisor!.pid,
      booted: (host: Host) => this.#save(host),
    };
    this.hosts = state.hosts.map((host) => new Host(context, host));
  }

  /**
   * Brings a lab up: all hosts booted, their nix-daemons listening.
   * @throws {LabError} `LAB_UNAVAILABLE`, `LAB_BAD_OPTIONS`, `LAB_NAME_TAKEN`, `LAB_START_FAILED`
   */
  static async up(options: LabOptions): Promise<Lab> {
    const images = imagesOf(options);
    const available = labAvailable([...new Set(images)]);
    if (!available.ok) throw new LabError('LAB_UNAVAILABLE', `The lab cannot run here: ${available.reason}.`);
    const name = options.name ?? `lab-${process.pid}-${randomBytes(3).toString('hex')}`;
    if (!LAB_NAME.test(name))
      throw new LabError('LAB_BAD_OPTIONS', `"${name}" is no name for a lab: use a-z, 0-9 and -.`);
    reap();
    const state: LabState = {
      version: STATE_VERSION,
      name,
      owner: identify(process.pid),
      multicast: options.multicast ?? true,
      sshd: options.sshd ?? false,
      hosts: images.map(hostState),
    };
    claim(state);
    const watcher = startWatcher(name);
    try {
      const supervisor = identify(await supervisorOf(watcher));
      const lab = new Lab({ ...state, supervisor }, watcher);
      saveState(lab.#state);
      await lab.#boot(options);
      return lab;
    } catch (error) {
      await endWatcher(watcher, name);
      throw error;
    }
  }

  /**
   * A running lab that another process owns, to use from here.
   * @throws {LabError} `LAB_UNKNOWN`
   */
  static attach(name: string): Lab {
    const state = loadState(name);
    if (!isRunning(state?.supervisor)) throw new LabError('LAB_UNKNOWN', `No lab named ${name} is up.`);
    return new Lab(state, undefined);
  }

  /** @throws {LabError} `LAB_HOST_UNKNOWN` */
  host(name: string): Host {
    const host = this.hosts.find((candidate) => candidate.name === name);
    if (host === undefined) {
      const names = this.hosts.map((candidate) => candidate.name).join(', ');
      throw new LabError('LAB_HOST_UNKNOWN', `Lab ${this.name} has no host ${name}, only ${names}.`);
    }
    return host;
  }

  /** Splits the LAN: hosts reach those of their own group only. Hosts not named stay with the first group. */
  async partition(...groups: readonly (readonly string[])[]): Promise<void> {
    const named = groups.map((group) => group.map((name) => this.host(name)));
    const rest = this.hosts.filter((host) => host.isUp && !named.flat().includes(host));
    const [first = [], ...others] = named;
    const ports = [[...first, ...rest], ...others].map((group) =>
      group.filter((host) => host.isUp).map((host) => host.port),
    );
    await new Bridge(this.#supervisor, this.#state.multicast).partition(ports);
  }

  /** Undoes {@link partition}. */
  async heal(): Promise<void> {
    await this.partition();
  }

  /** Takes the lab away: processes, mounts, files, networks. Returns when nothing is left of it. */
  async down(): Promise<void> {
    if (this.#watcher !== undefined) {
      await endWatcher(this.#watcher, this.name);
      return;
    }
    if (isRunning(this.#state.owner)) sendSignal(this.#state.owner.pid, 'SIGTERM');
    await untilGone(this.name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down();
  }

  get #supervisor(): number {
    return this.#state.supervisor!.pid;
  }

  #save(host: Host): void {
    const hosts = this.#state.hosts.map((old) => (old.name === host.name ? host.state : old));
    this.#state = { ...this.#state, hosts };
    saveState(this.#state);
  }

  async #boot(options: LabOptions): Promise<void> {
    const hostsFile = [
      '127.0.0.1 localhost',
      ...this.hosts.map(({ address, name }) => `${address} ${name}`),
    ].join('\n');
    const common = { DIR: labDir(this.name), HOSTS_FILE: hostsFile, REPOSITORY: repositoryRoot };
    if (this.#state.sshd) {
      const names = this.hosts.flatMap(({ name, address }) => [name, address]).join(',');
      await this.#inSupervisor('ssh keys', MAKE_SSH_KEYS, { ...common, SSH_NAMES: names });
    }
    await Promise.all(
      this.hosts.map(async (host) => {
        await this.#inSupervisor(host.name, PREPARE, {
          ...common,
          HOST: host.name,
          IMAGE: imageDir(host.image),
          MACHINE_ID: randomBytes(16).toString('hex'),
          NIX_CONF: nixConf(options),
          SSHD: this.#state.sshd ? '1' : '',
        });
        await host.boot();
      }),
    );
  }

  async #inSupervisor(what: string, script: string, env: Record<string, string>): Promise<void> {
    const place = {
      lab: this.name,
      name: `lab ${this.name} (${what})`,
      init: this.#supervisor,
      cgroupProcs: [],
    };
    await exec(place, ['sh', '-c', script], { env, timeoutMs: BOOT_TIMEOUT_MS });
  }
}

function imagesOf({ hosts, image = 'sid' }: LabOptions): Image[] {
  if (!Number.isInteger(hosts) || hosts < 1 || hosts > MAX_HOSTS) {
    throw new LabError('LAB_BAD_OPTIONS', `A lab has 1 to ${MAX_HOSTS} hosts, not ${hosts}.`);
  }
  if (typeof image === 'string') return Array.from({ length: hosts }, () => image);
  if (image.length === hosts) return [...image];
  throw new LabError(
    'LAB_BAD_OPTIONS',
    `${hosts} hosts need ${hosts} images, and ${image.length} were given.`,
  );
}

function hostState(image: Image, index: number): HostState {
  const number = index + 1;
  return { name: `h${number}`, address: `${SUBNET_PREFIX}${number}`, port: `p${number}`, image };
}

function startWatcher(name: string): ChildProcess {
  const watcher = spawn('sh', ['-c', WATCHER], {
    detached: true,
    stdio: 'pipe',
    env: { PATH: HOST_PATH, MESH_LAB: name, DIR: labDir(name), SUPERVISOR },
  });
  // Our end of this pipe is what keeps the lab alive; a watcher that is gone needs no word from us.
  watcher.stdin.on('error', () => watcher.stdin.destroy());
  return watcher;
}

async function supervisorOf(watcher: ChildProcess): Promise<number> {
  const stdout = new LineStream(watcher.stdout!);
  const stderr = new LineStream(watcher.stderr!);
  try {
    await stdout.waitFor(/^ready$/, BOOT_TIMEOUT_MS);
  } catch (cause) {
    throw new LabError('LAB_START_FAILED', `The lab did not start: ${stderr.text().trim()}`, { cause });
  }
  // The watcher's shell, then unshare, then the supervisor.
  const supervisor = childrenOf(childrenOf(watcher.pid!)[0] ?? -1)[0];
  // A lab that nobody took down must not keep its owner from ending.
  watcher.unref();
  for (const stream of watcher.stdio) (stream as Socket | null)?.unref();
  return supervisor ?? -1;
}

async function endWatcher(watcher: ChildProcess, name: string): Promise<void> {
  watcher.stdin?.destroy();
  await untilGone(name);
}

async function untilGone(name: string): Promise<void> {
  try {
    await until(`the end of lab ${name}`, DOWN_TIMEOUT_MS, () =>
      existsSync(labDir(name)) ? undefined : true,
    );
    // The parents of its processes, which stand outside its namespaces, follow a moment later.
    await until(`the end of lab ${name}`, DOWN_TIMEOUT_MS, () =>
      tracesOf(name).length > 0 ? undefined : true,
    );
  } catch (cause) {
    remove(name);
    throw new LabError('LAB_DOWN_FAILED', `Lab ${name} did not end by itself and was removed.`, { cause });
  }
}
