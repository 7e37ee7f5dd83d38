import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { parseCable } from './cable.ts';
import {
  type CommandLine,
  type CommandOptions,
  commandLine,
  type ExecOptions,
  type ExecResult,
  exec,
  HostProcess,
  type Place,
  sendSignal,
} from './command.ts';
import { BOOT_TIMEOUT_MS, DAEMON_SOCKET, DOWN_TIMEOUT_MS, HOST_PATH, SUBNET_BITS } from './constants.ts';
import { cgroupProcsOf } from './control-groups.ts';
import { limitCpu } from './cpu-quota.ts';
import { LabError } from './errors.ts';
import { type Image, imageDir } from './images.ts';
import { LineStream } from './line-stream.ts';
import { limitMemory, SHOW_CONTROL_GROUPS } from './memory-limit.ts';
import { Bridge, PLUG_IN } from './network.ts';
import { childrenOf, nameOf, type ProcessInfo, processesUnder } from './processes.ts';
import { processorSeconds } from './processor-time.ts';
import { repositoryRoot } from './repository.ts';
import { BOOT, INIT, START_DAEMON, SYSTEMD_INIT } from './scripts.ts';
import { type HostState, identify, isRunning, labDir, type ProcessIdentity } from './state.ts';
import { until } from './wait.ts';

/** What a host needs to know of its lab. */
export interface HostContext {
  readonly lab: string;
  readonly supervisor: number;
  readonly multicast: boolean;
  readonly sshd: boolean;
  /** Called when the host has booted, to write it down. */
  readonly booted: (host: Host) => void;
}

/** A machine of the lab: own processes, network, file system, Nix store and nix-daemon. */
export class Host {
  readonly name: string;
  readonly address: string;
  readonly image: Image;
  /** Its file system as seen from the machine, also when the host is down; without /tmp, /run, /dev, /proc, /sys. */
  readonly disk: string;
  readonly #port: string;
  readonly #context: HostContext;
  readonly #bridge: Bridge;
  #init: ProcessIdentity | undefined;

  constructor(context: HostContext, state: HostState) {
    this.name = state.name;
    this.address = state.address;
    this.image = state.image;
    this.disk = `/proc/${context.supervisor}/root${labDir(context.lab)}/files/${state.name}/root`;
    this.#port = state.port;
    this.#context = context;
    this.#bridge = new Bridge(context.supervisor, context.multicast);
    this.#init = state.init;
  }

  get state(): HostState {
    const { name, address, image } = this;
    return { name, address, image, port: this.#port, ...(this.#init && { init: this.#init }) };
  }

  get isUp(): boolean {
    return isRunning(this.#init);
  }

  /**
   * Its init, as the machine numbers it.
   * @throws {LabError} `LAB_HOST_DOWN`
   */
  get pid(): number {
    if (!isRunning(this.#init))
      throw new LabError('LAB_HOST_DOWN', `Host ${this.name} is down: boot it first.`);
    return this.#init.pid;
  }

  /** Its root folder as seen from the machine: sockets inside can be connected to through it. Only while it is up. */
  get root(): string {
    return `/proc/${this.pid}/root`;
  }

  /** Runs a command to its end. A background process it leaves must not keep its output open. */
  async exec(command: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    return exec(this.#place(), command, options);
  }

  /** Starts a command that runs on. */
  spawn(command: readonly string[], options: CommandOptions = {}): HostProcess {
    return new HostProcess(this.#place(), command, options);
  }

  /** The machine's command that runs `command` here, for whoever wants to start it with own streams (a terminal). */
  commandLine(command: readonly string[], options: CommandOptions = {}): CommandLine {
    return commandLine(this.#place(), command, options);
  }

  /** Writes a file, with the folders it needs. Mode 644, or 755 for `executable`. */
  async writeFile(
    path: string,
    content: string | Uint8Array,
    options: { executable?: boolean } = {},
  ): Promise<void> {
    const script = 'mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "$2" "$1"';
    await this.exec(['sh', '-c', script, 'sh', path, options.executable ? '755' : '644'], { input: content });
  }

  async readFile(path: string): Promise<string> {
    return (await this.exec(['cat', '--', path])).stdout;
  }

  /** All its processes, init first, build sandboxes included; as the machine numbers them. */
  processes(): ProcessInfo[] {
    return processesUnder(this.pid);
  }

  /** Its processes that belong to builds: those of Nix's build users. */
  buildProcesses(): ProcessInfo[] {
    const group = /^nixbld:[^:]*:(\d+):/m.exec(readFileSync(`${this.disk}/etc/group`, 'utf8'))?.[1];
    const passwd = readFileSync(`${this.disk}/etc/passwd`, 'utf8');
    const users = new Set<number>();
    for (const line of passwd.split('\n')) {
      const [, , uid, gid] = line.split(':');
      if (gid !== undefined && gid === group) users.add(Number(uid));
    }
    return this.processes().filter(({ uid }) => users.has(uid));
  }

  /**
   * Pulls the plug: every process ends at once. Peers hear nothing of it, as with a real machine; with `quiet: false` the
   * cable stays in for the kernel to close its connections, as when all programs crash.
   */
  async kill(options: { quiet?: boolean } = {}): Promise<void> {
    const init = this.pid;
    if (options.quiet !== false) await this.link('down');
    sendSignal(init, 'SIGKILL');
    await until(`the end of host ${this.name}`, DOWN_TIMEOUT_MS, () => (this.isUp ? undefined : true));
  }

  /** Switches the host on, for the first time or again after {@link kill}; its disk is as it was. */
  async boot(): Promise<void> {
    if (this.isUp) return;
    const child = spawn(
      'nsenter',
      ['-t', String(this.#context.supervisor), '-m', '-n', '-p', '--', 'sh', '-c', BOOT],
      {
        detached: true,
        stdio: ['ignore', 'pipe', 'pipe'],
        env: {
          PATH: HOST_PATH,
          HOST_PATH,
          INIT,
          SYSTEMD_INIT,
          PLUG_IN,
          MESH_LAB: this.#context.lab,
          DIR: labDir(this.#context.lab),
          HOST: this.name,
          PORT: this.#port,
          ADDRESS: `${this.address}/${SUBNET_BITS}`,
          MULTICAST: this.#context.multicast ? '1' : '',
          SSHD: this.#context.sshd ? '1' : '',
          SYSTEMD: this.image === 'systemd' ? '1' : '',
          REPOSITORY: repositoryRoot,
        },
      },
    );
    const stdout = new LineStream(child.stdout);
    const stderr = new LineStream(child.stderr);
    try {
      await stdout.waitFor(/^booted$/, BOOT_TIMEOUT_MS);
      // nsenter, then unshare, then init.
      const init = childrenOf(childrenOf(child.pid!)[0] ?? -1)[0];
      this.#init = identify(init ?? -1);
    } catch (cause) {
      const said = stderr.text().trim();
      throw new LabError('LAB_START_FAILED', `Host ${this.name} did not boot: ${said}`, { cause });
    } finally {
      child.unref();
      for (const stream of [child.stdout, child.stderr]) (stream as Socket).destroy();
    }
    this.#context.booted(this);
    await this.#untilDaemonListens();
  }

  /** Ends the nix-daemon, its connections and their builds, at once. */
  async stopDaemon(): Promise<void> {
    for (const { pid } of this.#daemonTree()) sendSignal(pid, 'SIGKILL');
    await until(`the end of nix-daemon on ${this.name}`, DOWN_TIMEOUT_MS, () =>
      this.#daemonTree().length === 0 ? true : undefined,
    );
  }

  /** Starts the nix-daemon; returns when it listens. Its log is /var/log/nix-daemon.log. */
  async startDaemon(): Promise<void> {
    await this.exec(['sh', '-c', START_DAEMON]);
    await this.#untilDaemonListens();
  }

  /** Limits all its processes together to a share of one processor: 0.5 is half of one, 2 is two. */
  cpu(processors: number): void {
    limitCpu(this.#context.lab, this.name, this.pid, processors);
  }

  /** Processor time of all its processes together since the first call, with those that have ended. */
  processorSeconds(): number {
    return processorSeconds(this.#context.lab, this.name, this.pid);
  }

  /** Lets all its processes together take so many bytes of memory, which they can see; before its agent starts, which looks once. */
  async memory(bytes: number): Promise<void> {
    const version = limitMemory(this.#context.lab, this.name, this.pid, bytes);
    await this.exec(['sh', '-ec', SHOW_CONTROL_GROUPS[version]]);
  }

  /**
   * Spoils its cable by words as of `tc netem`, for each way ('delay 50ms loss 5%' adds 100 ms to a round trip); undefined
   * mends it. A spoilt cable carries some ten MB/s at most.
   * @throws {LabError} `LAB_BAD_OPTIONS`
   */
  async net(faults: string | undefined): Promise<void> {
    if (faults === undefined) await this.#bridge.mend(this.#port);
    else await this.#bridge.spoil(this.#port, parseCable(faults), imageDir(this.image));
  }

  /** Pulls its cable out, or puts it back. */
  async link(state: 'up' | 'down'): Promise<void> {
    await this.#bridge.setLink(this.#port, state);
  }

  /** Puts its cable into another LAN of the lab, apart from the first, until it is next booted. Addresses stay as they are. */
  async moveTo(lan: string): Promise<void> {
    await this.#bridge.move(this.#port, lan);
  }

  /** Gives it a further network card, `device`, with a cable to a LAN, until it is next booted. It is down and has no address. */
  async addCard(device: string, lan: string): Promise<void> {
    await this.#bridge.addCable(lan, `${this.#port}-${device}`, this.pid, device);
  }

  /** Sets the addresses of one of its devices (`10.1.0.2/24`, `fd00::2/64`), instead of those it has, and switches it on. */
  async setAddresses(device: string, ...addresses: readonly string[]): Promise<void> {
    const script =
      'd=$1; shift; ip address flush dev "$d" scope global; ip link set "$d" up; for a; do case $a in *:*) ip address add "$a" dev "$d" nodad;; *) ip address add "$a" dev "$d";; esac; done';
    await this.exec(['sh', '-ec', script, 'sh', device, ...addresses]);
  }

  /** Stops all its processes where they stand: connections stay open and silent. Returns when all have stopped. */
  async freeze(): Promise<void> {
    await until(`the freezing of ${this.name}`, DOWN_TIMEOUT_MS, () => {
      // One that was about to start another is only seen by the next look.
      const moving = this.processes().filter(({ state }) => state !== 'T');
      for (const { pid } of moving) sendSignal(pid, 'SIGSTOP');
      return moving.length === 0 || undefined;
    });
  }

  thaw(): void {
    for (const { pid } of this.processes()) sendSignal(pid, 'SIGCONT');
  }

  /** @internal The bridge's end of its cable. */
  get port(): string {
    return this.#port;
  }

  #place(): Place {
    const cgroupProcs = cgroupProcsOf(this.#context.lab, this.name);
    return { lab: this.#context.lab, name: this.name, init: this.pid, cgroupProcs };
  }

  #daemonTree(): ProcessInfo[] {
    const all = this.processes();
    const tree = new Set(all.filter(({ name }) => name === 'nix-daemon').map(({ pid }) => pid));
    let size: number;
    do {
      size = tree.size;
      for (const { pid, parent } of all) if (tree.has(parent)) tree.add(pid);
    } while (tree.size > size);
    return all.filter(({ pid }) => tree.has(pid));
  }

  // /proc/PID/net/unix shows flag 10000 for a socket that accepts; asking the daemon itself would fill its log.
  async #untilDaemonListens(): Promise<void> {
    await until(`the start of nix-daemon on ${this.name}`, BOOT_TIMEOUT_MS, () => {
      const sockets = readFileSync(`/proc/${this.pid}/net/unix`, 'utf8').split('\n');
      if (sockets.some((line) => line.includes(' 00010000 ') && line.includes(DAEMON_SOCKET))) return true;
      // Its socket is a unit among others there.
      if (this.image === 'systemd') return undefined;
      // A shell that is about to become the daemon, or the daemon.
      const starting = childrenOf(this.pid).some((pid) =>
        ['sh', 'setsid', 'nix-daemon'].includes(nameOf(pid) ?? ''),
      );
      if (starting) return undefined;
      const log = readFileSync(`${this.disk}/var/log/nix-daemon.log`, 'utf8').trim();
      throw new LabError('LAB_START_FAILED', `nix-daemon on ${this.name} ended at once: ${log}`);
    });
  }
}
