import type { MeshNet } from '@mesh/net';
import type {
  BuildInput,
  ControlMethod,
  ControlRequest,
  ControlResponse,
  ControlResult,
  PeerView,
} from '@mesh/wire';
import type { AgentlessBuilders } from '../agentless/builders.ts';
import { AgentError } from '../errors.ts';
import type { FrontDoor } from '../front-door/front-door.ts';
import type { Job } from '../job/job.ts';
import type { JobRunner } from '../job/job-runner.ts';
import { derivationName } from '../job/planner.ts';
import type { OfferKeeper } from '../worker/offer-keeper.ts';
import type { CacheControl } from './cache-control.ts';
import { explain } from './why.ts';

/** What a request brings beside itself. */
export interface ControlContext {
  /** Lines after a `build` request. */
  inputs: AsyncIterable<BuildInput>;
  /** Aborted when whoever asked is gone. */
  signal: AbortSignal;
  emit(response: ControlResponse): Promise<void>;
}

export interface ControlComponents {
  net: MeshNet;
  runner: JobRunner;
  cache: CacheControl;
  /** Machines without an agent. */
  builders: Pick<AgentlessBuilders, 'views' | 'troubles'>;
  offers: Pick<OfferKeeper, 'offer' | 'pause' | 'resume'>;
  /** Undefined where it is closed. */
  frontDoor?: Pick<FrontDoor, 'port' | 'hostKey'> | undefined;
  /** What `mesh doctor` wants to know of it. */
  health: () => ControlResult<'doctor'>;
  version: string;
  nixVersion: string | null;
}

type Request<M extends ControlMethod> = Extract<ControlRequest, { method: M }>;

/** Answers the local API's methods: the same for the socket and for a command that brings its own agent. */
export class ControlHandler {
  readonly #components: ControlComponents;

  constructor(components: ControlComponents) {
    this.#components = components;
  }

  /** The value of the `result` line. @throws AgentError, NetError and what building throws: become the `error` line */
  async handle(request: ControlRequest, context: ControlContext): Promise<unknown> {
    switch (request.method) {
      case 'status':
        return this.#status();
      case 'peers':
        return this.#peers();
      case 'doctor':
        return this.#components.health();
      case 'invite':
        return this.#invite(request);
      case 'join':
        return this.#components.net.join(request.ticket, { force: request.force, signal: context.signal });
      case 'remove':
        return this.#remove(request);
      case 'pause':
        return this.#pause(request);
      case 'resume':
        return this.#resume();
      case 'build':
        return this.#build(request, context);
      case 'jobs':
        return {
          jobs: this.#components.runner.jobs().map((job) => job.view()),
        } satisfies ControlResult<'jobs'>;
      case 'report':
        return this.#job(request.job).report();
      case 'why':
        return this.#why(request);
      case 'log':
        return this.#log(request, context);
      case 'cache-status':
        return this.#components.cache.status();
      case 'cache-which':
        return this.#components.cache.which(request.path, context.signal);
      case 'cache-warm':
        return this.#components.cache.warm(request.paths, context);
    }
  }

  #status(): ControlResult<'status'> {
    const { net, version, nixVersion, offers, builders } = this.#components;
    const { closed } = offers.offer;
    const builderTroubles = [
      ...builders
        .views()
        .flatMap(({ name, trouble }) => (trouble === undefined ? [] : [`${name}: ${trouble}`])),
      ...builders.troubles.map(({ message }) => message),
    ];
    const { port, hostKey } = this.#components.frontDoor ?? {};
    return {
      ...(port === undefined || hostKey === undefined ? {} : { frontDoor: { port, hostKey } }),
      ...net.self,
      meshId: net.meshId,
      version,
      nixVersion,
      addresses: net.addresses(),
      ...(closed === undefined ? {} : { closed }),
      ...(builderTroubles.length === 0 ? {} : { builderTroubles }),
    };
  }

  #peers(): ControlResult<'peers'> {
    const { net, builders } = this.#components;
    return {
      meshId: net.meshId,
      builders: builders.views(),
      builderTroubles: builders.troubles.map(({ message }) => message),
      members: net.members().map((member): PeerView => {
        const record = member.record;
        return {
          name: member.name,
          peerId: member.peerId,
          self: member.self,
          connected: member.connected,
          roles: [...member.roles],
          addresses: member.addresses,
          systems: record?.systems ?? [],
          systemFeatures: record?.systemFeatures ?? [],
          cores: record?.cores ?? null,
          slots: record?.slots ?? null,
          memoryBytes: record?.memoryBytes ?? null,
          load: record?.load ?? null,
          nixVersion: record?.nixVersion ?? null,
          agentVersion: record?.agentVersion ?? null,
          ...optional('speed', record?.speed),
          ...optional('tags', record?.tags),
          ...optional('emulated', record?.emulated),
          ...optional('closed', record?.closed),
          ...optional('fault', member.fault),
          lastSeen: member.lastSeenMs === undefined ? null : new Date(member.lastSeenMs).toISOString(),
        };
      }),
      strangers: net.strangers().map(({ peerId, addresses, lastSeenMs }) => ({
        peerId,
        addresses,
        lastSeen: new Date(lastSeenMs).toISOString(),
      })),
    };
  }

  #invite(request: Request<'invite'>): ControlResult<'invite'> {
    const ticket = this.#components.net.invite({ ttlMs: request.ttlMs, roles: request.roles });
    return { ticket, expiresAt: new Date(Date.now() + request.ttlMs).toISOString() };
  }

  async #remove(request: Request<'remove'>): Promise<ControlResult<'remove'>> {
    const { net } = this.#components;
    const [member, other] = net
      .members()
      .filter((each) => each.name === request.peer || each.peerId === request.peer);
    if (other !== undefined) {
      // Two admins can invite two machines of one name at the same moment.
      throw new AgentError(
        'PEER_AMBIGUOUS',
        `More than one machine of this mesh is called ${request.peer}; give the peer id that \`mesh peers --json\` lists.`,
      );
    }
    if (member === undefined) {
      throw new AgentError(
        'PEER_UNKNOWN',
        `No machine of this mesh is called ${request.peer}; see \`mesh peers\`.`,
      );
    }
    await net.remove(member.peerId);
    return { peerId: member.peerId, name: member.name };
  }

  async #pause({ forMs, reason }: Request<'pause'>): Promise<ControlResult<'pause'>> {
    const untilMs = forMs === undefined ? undefined : Date.now() + forMs;
    await this.#components.offers.pause({ untilMs, reason });
    return { until: untilMs === undefined ? null : new Date(untilMs).toISOString() };
  }

  async #resume(): Promise<ControlResult<'resume'>> {
    const { offers } = this.#components;
    const wasPaused = await offers.resume();
    const { closed } = offers.offer;
    return { wasPaused, ...(closed === undefined ? {} : { closed }) };
  }

  async #build(request: Request<'build'>, context: ControlContext): Promise<ControlResult<'build'>> {
    const job = this.#components.runner.create(request.options);
    // A slow reader must not hold up the build: events wait in the socket's own queue, in order.
    let last: Promise<void> = Promise.resolve();
    const stop = job.onEvent((event) => {
      last = context.emit({ type: 'event', event });
    });
    try {
      await this.#components.runner.run(job, context.inputs, context.signal);
    } finally {
      stop();
      await last;
    }
    return { job: job.id };
  }

  #why({ target, job }: Request<'why'>): ControlResult<'why'> {
    const jobs = job === undefined ? this.#components.runner.jobs() : [this.#job(job)];
    return explain(jobs, target, (drvPath) => this.#components.runner.explainWaiting(drvPath));
  }

  async #log(request: Request<'log'>, context: ControlContext): Promise<ControlResult<'log'>> {
    const { job, drvPath } = this.#findLog(request.target);
    const log = job.logs.of(drvPath);
    await context.emit({
      type: 'log',
      text: log
        .lines()
        .map((line) => `${line}\n`)
        .join(''),
    });
    if (request.follow && !log.ended && job.state === 'running') {
      let last: Promise<void> = Promise.resolve();
      await new Promise<void>((resolve) => {
        const leave = log.follow((lines) => {
          last = context.emit({ type: 'log', text: lines.map((line) => `${line}\n`).join('') });
        }, resolve);
        context.signal.addEventListener('abort', () => {
          leave();
          resolve();
        });
      });
      await last;
    }
    return { drvPath };
  }

  #findLog(target: string): { job: Job; drvPath: string } {
    for (const job of this.#components.runner.jobs()) {
      for (const drvPath of job.logs.keys()) {
        if (drvPath === target || derivationName(drvPath) === target) return { job, drvPath };
      }
    }
    throw new AgentError(
      'LOG_UNKNOWN',
      `This agent has no log of ${target}; \`nix log\` may have an older one.`,
    );
  }

  #job(id: string | undefined): Job {
    const jobs = this.#components.runner.jobs();
    const job = id === undefined ? jobs[0] : jobs.find((candidate) => candidate.id === id);
    if (job !== undefined) return job;
    const message =
      id === undefined
        ? 'No job has run here since the agent started.'
        : `No job ${id} is known here; see \`mesh jobs\`.`;
    throw new AgentError('JOB_UNKNOWN', message);
  }
}

/** A field that is left out where there is nothing to say. */
function optional<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { [P in K]: V });
}
