import { EventEmitter, once } from 'node:events';
import type { BuildInput, JobEvent } from '@mesh/wire';
import { describe, expect, it } from 'vitest';
import type { ControlPort, RequestContext } from '../control/port.ts';
import { CliError } from '../errors.ts';
import { drv, finishedWith, reportOf } from '../testing/recorded-job.ts';
import type { WantedDerivation } from './evaluate.ts';
import { watchInterrupts } from './interrupts.ts';
import { type BuildRun, runBuild } from './run-build.ts';

const wanted = (name: string, ...outputs: string[]): WantedDerivation => ({
  drvPath: drv(name),
  outputs,
  outputPaths: new Map(outputs.map((output) => [output, `/nix/store/${name}-${output}`])),
});

const agent = (handle: (context: RequestContext) => Promise<unknown>): ControlPort => ({
  handle: (_, context) => handle(context),
});

const nobody = agent(async () => {
  throw new CliError('MESH_NO_AGENT', 1, 'none');
});

/** Takes all inputs, then ends the job with this event. */
const ending = (finished: JobEvent, seen: BuildInput[] = []) =>
  agent(async ({ inputs, emit }) => {
    for await (const input of inputs) seen.push(input);
    emit({ type: 'event', event: finished });
    return { job: 'job-1' };
  });

function setUp(changes: Partial<BuildRun> & { running?: ControlPort }) {
  const source = new EventEmitter();
  const shown: string[] = [];
  const interrupts = watchInterrupts(source, () => undefined);
  const { running = ending(finishedWith(reportOf([]))), ...rest } = changes;
  const run: BuildRun = {
    evaluate: async function* () {
      yield wanted('a', 'out');
    },
    ports: {
      running,
      startOwn: async () => ({ port: nobody, close: async () => undefined }),
      onOwn: () => undefined,
    },
    options: { local: false, keepGoing: false, dryRun: false, logs: false },
    renderer: { event: ({ type }) => shown.push(type), note: () => undefined, close: () => undefined },
    interrupts,
    onFinished: async () => undefined,
    ...rest,
  };
  return { run, source, shown };
}

describe('a build', () => {
  it('sends every derivation once, then that evaluation is over', async () => {
    const seen: BuildInput[] = [];
    const { run } = setUp({
      running: ending(finishedWith(reportOf([])), seen),
      async *evaluate() {
        yield wanted('a', 'out');
        yield wanted('b', 'out');
        yield wanted('a', 'out');
        yield wanted('a', 'dev');
      },
    });
    const results = await runBuild(run);
    expect(seen).toEqual([
      { type: 'derivation', drvPath: drv('a'), outputs: ['out'] },
      { type: 'derivation', drvPath: drv('b'), outputs: ['out'] },
      { type: 'derivation', drvPath: drv('a'), outputs: ['dev'] },
      { type: 'evaluated' },
    ]);
    expect(results.map(({ drvPath, outputs }) => [drvPath, [...outputs.keys()]])).toEqual([
      [drv('a'), ['out', 'dev']],
      [drv('b'), ['out']],
    ]);
  });

  it('gives the paths as the agent found them: content addresses are known only then', async () => {
    const outputs = [
      { drvPath: drv('a'), outputs: { out: '/nix/store/resolved', doc: '/nix/store/unasked' } },
    ];
    const { run } = setUp({ running: ending(finishedWith(reportOf([]), { outputs })) });
    await expect(runBuild(run)).resolves.toEqual([
      { drvPath: drv('a'), outputs: new Map([['out', '/nix/store/resolved']]) },
    ]);
  });

  it('brings its own agent where none runs, hands it everything, and stops it', async () => {
    const seen: BuildInput[] = [];
    const steps: string[] = [];
    const { run } = setUp({
      ports: {
        running: nobody,
        onOwn: () => steps.push('told'),
        async startOwn() {
          steps.push('started');
          const close = async () => void steps.push('stopped');
          return { port: ending(finishedWith(reportOf([])), seen), close };
        },
      },
    });
    await runBuild(run);
    expect(steps).toEqual(['told', 'started', 'stopped']);
    expect(seen).toHaveLength(2);
  });

  it('ends with what the agent refused it with, and not with the evaluation that was cancelled for it', async () => {
    const { run } = setUp({
      running: agent(async () => {
        throw new CliError('BUILD_UNKNOWN_MACHINE', 2, 'No machine of this mesh is called x.');
      }),
      // biome-ignore lint/correctness/useYield: an evaluation that ends before it has found anything
      async *evaluate(signal) {
        await once(signal, 'abort');
        signal.throwIfAborted();
      },
    });
    await expect(runBuild(run)).rejects.toMatchObject({ code: 'BUILD_UNKNOWN_MACHINE' });
  });

  it('exits with 1 where no build failed, because no machine could try', async () => {
    const finished = { ...finishedWith(reportOf([['a', null, 'failed']])), noMachine: true };
    const running = agent(async ({ emit }) => {
      emit({ type: 'event', event: finished });
      return { job: 'job-1' };
    });
    await expect(runBuild(setUp({ running }).run)).rejects.toMatchObject({ exitCode: 1, silent: true });
  });

  it('exits with 100 when a build failed, in silence, because the renderer has told', async () => {
    const finished = finishedWith(reportOf([['a', 'h1', 'failed']]));
    for (const last of [
      async () => ({ job: 'job-1' }),
      async () => {
        throw new CliError('BUILD_FAILED', 100, 'failed');
      },
    ]) {
      const running = agent(async ({ emit }) => {
        emit({ type: 'event', event: finished });
        return await last();
      });
      const ends: boolean[] = [];
      const { run, shown } = setUp({ running, onFinished: async ({ ok }) => void ends.push(ok) });
      await expect(runBuild(run)).rejects.toMatchObject({ exitCode: 100, silent: true });
      expect(shown).toEqual(['job-finished']);
      expect(ends).toEqual([false]);
    }
  });

  it("throws evaluation's error, not what the agent made of the missing inputs", async () => {
    const { run } = setUp({
      running: agent(async ({ signal }) => {
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        throw new Error('cancelled');
      }),
      // biome-ignore lint/correctness/useYield: an evaluation that fails at once.
      async *evaluate() {
        throw new Error("attribute 'nope' missing");
      },
    });
    await expect(runBuild(run)).rejects.toThrow("attribute 'nope' missing");
  });

  it('keeps the sentence and exit code of an agent that refuses', async () => {
    const running = agent(async () => {
      throw new CliError('BUILD_UNKNOWN_MACHINE', 1, 'No machine is called h9.');
    });
    await expect(runBuild(setUp({ running }).run)).rejects.toMatchObject({ code: 'BUILD_UNKNOWN_MACHINE' });
  });
});

describe('Ctrl-C', () => {
  it('cancels evaluation and job, waits for the agent, and ends with 130', async () => {
    const done: string[] = [];
    const { run, source } = setUp({
      running: agent(async ({ signal }) => {
        const cancelled = new Promise((resolve) => signal.addEventListener('abort', resolve));
        source.emit('SIGINT', 'SIGINT');
        await cancelled;
        done.push('job');
        throw new Error('cancelled');
      }),
      async *evaluate(signal) {
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        done.push('evaluation');
        throw signal.reason;
      },
    });
    await expect(runBuild(run)).rejects.toMatchObject({ exitCode: 130, silent: true });
    expect(done.sort()).toEqual(['evaluation', 'job']);
  });

  it('does not wait for an agent that never answers', async () => {
    const { run, source } = setUp({
      running: agent(async () => {
        source.emit('SIGTERM', 'SIGTERM');
        return await new Promise(() => undefined);
      }),
    });
    await expect(runBuild(run)).rejects.toMatchObject({ exitCode: 143 });
  });

  it('leaves at once the second time, but not when a wrapper only repeats the first', () => {
    const source = new EventEmitter();
    const left: number[] = [];
    let nowMs = 0;
    const interrupts = watchInterrupts(
      source,
      (code) => left.push(code),
      () => nowMs,
    );
    source.emit('SIGINT', 'SIGINT');
    nowMs = 100;
    source.emit('SIGINT', 'SIGINT');
    expect([interrupts.signal.aborted, left]).toEqual([true, []]);
    nowMs = 1_000;
    source.emit('SIGINT', 'SIGINT');
    expect(left).toEqual([130]);
  });
});
