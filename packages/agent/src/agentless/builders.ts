import { readFileSync } from 'node:fs';
import type { MeshNet } from '@mesh/net';
import { type MachineTrouble, parseMachines } from '@mesh/ssh';
import type { BuilderView } from '@mesh/wire';
import type { Absent } from '../job/feasibility.ts';
import {
  AgentlessMachine,
  type BuilderMachineComponents,
  type BuilderMachineInit,
} from './builder-machine.ts';
import { UNUSED_MS } from './constants.ts';

export interface BuildersInit extends Omit<BuilderMachineInit, 'machine' | 'name'> {
  /** Nix's `builders` setting, or lines like it. */
  readonly builders: readonly string[];
}

export interface BuildersComponents extends Omit<BuilderMachineComponents, 'objection'> {
  readonly net: Pick<MeshNet, 'members' | 'self'>;
}

/** The machines of Nix's `builders` setting: workers of this home while it has jobs, without anything of the mesh on them. */
export class AgentlessBuilders {
  readonly #machines: readonly AgentlessMachine[];
  readonly #components: BuildersComponents;
  /** Lines that are wrong. */
  readonly troubles: readonly MachineTrouble[];
  #release: { cancel(): void } | undefined;

  constructor(init: BuildersInit, components: BuildersComponents) {
    const { builders, ...rest } = init;
    this.#components = components;
    const read = builders.map((text) => parseMachines(text, readMachinesFile));
    this.troubles = read.flatMap(({ troubles }) => troubles);
    for (const { message } of this.troubles)
      components.logger.warn(`A machine of Nix's builders is left out: ${message}`);
    const machines = new Map<string, AgentlessMachine>();
    for (const machine of read.flatMap((each) => each.machines)) {
      const { uri, maxJobs } = machine;
      const { host } = uri;
      // This machine itself: the line is there to bring plain Nix into the mesh.
      if (maxJobs === 0 || host === 'localhost' || host === '127.0.0.1' || host === '::1') continue;
      const isTaken = [...machines.values()].some(({ init: { name } }) => name === host);
      const name = isTaken ? uri.text.replace('ssh-ng://', '') : host;
      const objection = (address: string): string | undefined => this.#objection(address);
      const agentless = new AgentlessMachine({ ...rest, machine, name }, { ...components, objection });
      // Nix counts one machine on two lines as two; here the first counts.
      if (!machines.has(agentless.peerId)) machines.set(agentless.peerId, agentless);
    }
    this.#machines = [...machines.values()];
  }

  /** There is work: machines that are not left alone are connected. */
  call(): void {
    this.#release?.cancel();
    this.#release = undefined;
    for (const machine of this.#machines) machine.wanted(true);
  }

  /** There is no work: after a while the connections are given up. */
  rest(): void {
    this.#release ??= this.#components.clock.after(UNUSED_MS, () => {
      for (const machine of this.#machines) machine.wanted(false);
    });
  }

  /** As `--on` and `--not` know them. */
  named(): { peerId: string; name: string; self: false }[] {
    return this.#machines.map(({ peerId, init: { name } }) => ({ peerId, name, self: false as const }));
  }

  nameOf(peerId: string): string | undefined {
    return this.#machines.find((machine) => machine.peerId === peerId)?.init.name;
  }

  /** Those that may be workers within seconds. */
  expected(): Absent[] {
    return this.#machines
      .filter(({ state }) => state.phase === 'connecting')
      .map(({ peerId, systems, init: { name, machine } }) => ({
        name,
        info: {
          ...{ peerId, name, isHome: false, systems, slots: machine.maxJobs, speed: machine.speedFactor },
          features: machine.supportedFeatures,
          mandatoryFeatures: machine.mandatoryFeatures,
        },
      }));
  }

  /** Why the others are not, a few words each. */
  absences(): string[] {
    return this.#machines
      .filter(({ state }) => state.phase !== 'up')
      .map(({ init: { name }, state }) => {
        if (state.phase === 'resting') return `${name} was tried in vain`;
        return `${name} is not connected`;
      });
  }

  /** As `mesh peers` lists them. */
  views(): BuilderView[] {
    const { clock } = this.#components;
    return this.#machines.map((machine): BuilderView => {
      const { init, state, peerId, systems, nixVersion, trouble } = machine;
      return {
        name: init.name,
        peerId,
        uri: init.machine.uri.text,
        place: init.machine.place,
        state: state.phase,
        systems: [...systems],
        systemFeatures: [...init.machine.supportedFeatures],
        mandatoryFeatures: [...init.machine.mandatoryFeatures],
        slots: init.machine.maxJobs,
        running: machine.running,
        speed: init.machine.speedFactor,
        nixVersion: nixVersion ?? null,
        ...(trouble === undefined ? {} : { trouble }),
        ...(state.phase === 'resting'
          ? { retryInMs: Math.max(0, Math.round(state.retryAtMs - clock.monotonic())) }
          : {}),
      };
    });
  }

  async stop(): Promise<void> {
    this.#release?.cancel();
    await Promise.all(this.#machines.map((machine) => machine.stop()));
  }

  /** A machine that has an agent is a worker by that. */
  #objection(host: string): string | undefined {
    const { net } = this.#components;
    const own = net.members().find((member) => {
      const isThere =
        member.name === host || member.addresses.some((address) => address.split('/')[2] === host);
      return isThere && (member.self || (member.connected && member.roles.includes('build')));
    });
    if (own === undefined) return undefined;
    return own.self ? 'it is this machine' : 'its own agent builds for the mesh';
  }
}

function readMachinesFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}
