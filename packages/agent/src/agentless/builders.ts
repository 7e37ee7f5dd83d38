import type { MeshNet } from '@mesh/net';
import type { MachineTrouble } from '@mesh/ssh';
import type { BuilderView } from '@mesh/wire';
import type { Absent } from '../job/feasibility.ts';
import type { BuilderLines } from './builder-lines.ts';
import {
  AgentlessMachine,
  type BuilderMachineComponents,
  type BuilderMachineInit,
} from './builder-machine.ts';
import { LINES_INTERVAL_MS, UNUSED_MS } from './constants.ts';
import { type DistinctMachine, distinctMachines } from './distinct-machines.ts';

export type BuildersInit = Omit<BuilderMachineInit, 'machine' | 'name' | 'peerId' | 'useSubstitutes'>;

export interface BuildersComponents extends Omit<BuilderMachineComponents, 'objection'> {
  readonly net: Pick<MeshNet, 'members' | 'self'>;
  /** Undefined: there are none, whatever anything says. */
  readonly lines: BuilderLines | undefined;
}

/** The machines of Nix's `builders` setting: workers of this home while it has jobs, without anything of the mesh on them. */
export class AgentlessBuilders {
  readonly #init: BuildersInit;
  readonly #components: BuildersComponents;
  /** In the order of their lines. */
  #machines: readonly AgentlessMachine[] = [];
  /** Their lines are gone or others now; they finish what they have. */
  readonly #leaving = new Map<AgentlessMachine, Promise<void>>();
  /** File and line of each. */
  #places = new Map<string, string>();
  #troubles: readonly MachineTrouble[] = [];
  /** Reports name machines that are gone, too. */
  readonly #names = new Map<string, string>();
  #isCalled = false;
  /** A line was changed whose machine is needed as it is. */
  #isBehind = false;
  #isStopped = false;
  #release: { cancel(): void } | undefined;
  #nextLook: { cancel(): void } | undefined;

  constructor(init: BuildersInit, components: BuildersComponents) {
    this.#init = init;
    this.#components = components;
    this.#read();
  }

  /** Looks at the lines from now on, now and then. */
  start(): void {
    const { clock, lines } = this.#components;
    if (lines === undefined || this.#isStopped) return;
    this.#nextLook = clock.after(LINES_INTERVAL_MS, () => void this.#look().then(() => this.start()));
  }

  /** Lines that are wrong. */
  get troubles(): readonly MachineTrouble[] {
    return this.#troubles;
  }

  async #look(): Promise<void> {
    const { lines, logger } = this.#components;
    try {
      if ((await lines?.haveChanged()) === true && !this.#isStopped) this.#read();
    } catch (error) {
      logger.warn({ err: error }, 'Nix does not say what its builders are now: those known before stay');
    }
    if (!this.#isStopped) this.#leaveToAgents();
  }

  /** A machine that got an agent meanwhile would be a worker twice. */
  #leaveToAgents(): void {
    for (const machine of this.#machines) {
      if (machine.objection === undefined) continue;
      const next = this.#newMachine(machine.init);
      this.#machines = this.#machines.map((each) => (each === machine ? next : each));
      this.#letGo(machine);
    }
  }

  /** Makes workers of lines that are new, and lets those go whose lines are not there any more. */
  #read(): void {
    const { logger, lines } = this.#components;
    const list = lines?.read();
    if (list === undefined) return;
    this.#isBehind = false;
    const known = new Set(this.#troubles.map(({ message }) => message));
    this.#troubles = list.troubles;
    for (const { message } of list.troubles)
      if (!known.has(message)) logger.warn(`A machine of Nix's builders is left out: ${message}`);
    const distinct = distinctMachines(list.machines);
    this.#places = new Map(distinct.map(({ peerId, machine }) => [peerId, machine.place]));
    const before = this.#machines;
    this.#machines = distinct.map((each) => this.#machineOf(each, list.useSubstitutes));
    for (const machine of before) if (!this.#machines.includes(machine)) this.#letGo(machine);
    if (this.#isCalled) this.#callAll();
  }

  /** The machine that is there already, where nothing but its line's number is another one. */
  #machineOf(distinct: DistinctMachine, useSubstitutes: boolean): AgentlessMachine {
    const init = { ...this.#init, ...distinct, useSubstitutes };
    const known = this.#machines.find((each) => meaningOf(each.init) === meaningOf(init));
    if (known !== undefined) return known;
    // While there is work a machine that is needed does not go for a moment only to come back another: builds would find nobody.
    const same = this.#machines.find(({ peerId }) => peerId === distinct.peerId);
    if (same !== undefined && this.#hasWork) {
      this.#isBehind = true;
      return same;
    }
    this.#names.set(distinct.peerId, distinct.name);
    return this.#newMachine(init);
  }

  #newMachine(init: BuilderMachineInit): AgentlessMachine {
    const objection = (address: string): string | undefined => this.#objection(address);
    return new AgentlessMachine(init, { ...this.#components, objection });
  }

  get #hasWork(): boolean {
    return this.#isCalled && this.#release === undefined;
  }

  #letGo(machine: AgentlessMachine): void {
    const { logger } = this.#components;
    const gone = machine
      .retire()
      .catch((error: unknown) => logger.warn({ err: error }, `${machine.init.name} was not left in peace`))
      .then(() => {
        this.#leaving.delete(machine);
        // Another line for the same machine has waited for its turn.
        if (this.#isCalled) this.#callAll();
      });
    this.#leaving.set(machine, gone);
  }

  #callAll(): void {
    const leaving = new Set([...this.#leaving.keys()].map(({ peerId }) => peerId));
    for (const machine of this.#machines) if (!leaving.has(machine.peerId)) machine.wanted(true);
  }

  /** There is work: machines that are not left alone are connected. */
  call(): void {
    this.#release?.cancel();
    this.#release = undefined;
    this.#isCalled = true;
    this.#callAll();
  }

  /** There is no work: after a while the connections are given up. */
  rest(): void {
    this.#release ??= this.#components.clock.after(UNUSED_MS, () => {
      this.#isCalled = false;
      for (const machine of this.#machines) machine.wanted(false);
    });
    if (this.#isBehind) this.#read();
  }

  /** As `--on` and `--not` know them: by the host of their line, which may be several's, and what tells them apart. */
  named(): { peerId: string; name: string; self: false }[] {
    return this.#machines.flatMap(({ peerId, init: { name, machine } }) =>
      [...new Set([name, machine.uri.host])].map((each) => ({ peerId, name: each, self: false as const })),
    );
  }

  nameOf(peerId: string): string | undefined {
    return this.#names.get(peerId);
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
    return this.#all.map((machine): BuilderView => {
      const { init, state, peerId, systems, nixVersion, trouble } = machine;
      return {
        name: init.name,
        peerId,
        uri: init.machine.uri.text,
        place: this.#places.get(peerId) ?? init.machine.place,
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
    this.#isStopped = true;
    this.#release?.cancel();
    this.#nextLook?.cancel();
    await Promise.all(this.#all.map((machine) => machine.stop()));
    await Promise.all(this.#leaving.values());
  }

  /** With those that still finish what they have. */
  get #all(): readonly AgentlessMachine[] {
    return [...this.#machines, ...this.#leaving.keys()];
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

/** What makes a worker another one; where its line stands does not. */
function meaningOf({
  machine: { place: _, ...machine },
  name,
  peerId,
  useSubstitutes,
}: BuilderMachineInit): string {
  return JSON.stringify([machine, name, peerId, useSubstitutes]);
}
