import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'sim-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface End {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function sim(...args: string[]): Promise<End> {
  const main = join(import.meta.dirname, 'main.ts');
  return new Promise((resolve) => {
    execFile(process.execPath, ['--conditions=@mesh/source', main, ...args], (error, stdout, stderr) => {
      resolve({
        code: typeof error?.code === 'number' ? error.code : error === null ? 0 : 1,
        stdout,
        stderr,
      });
    });
  });
}

describe('the command', () => {
  test('prints a table with one line for each graph, mesh and policy', async () => {
    const { code, stdout } = await sim('--graph', 'hello', '--mesh', 'lan4,lan8', '--seeds', '1');
    expect(code).toBe(0);
    const [head, ...rows] = stdout.trim().split('\n');
    expect(head).toMatch(/^graph +mesh +history +policy +mean +worst +best +wall +bound/);
    expect(rows.map((row) => row.split(/ +/).slice(0, 4).join(' '))).toEqual([
      'hello lan4 warm mesh',
      'hello lan4 warm nix',
      'hello lan8 warm mesh',
      'hello lan8 warm nix',
    ]);
  });

  test('goes the same way with the same seed, and another with another', async () => {
    const hash = async (seed: string) => {
      const args = [
        '--graph',
        'random:60',
        '--seeds',
        '1',
        '--policy',
        'mesh',
        '--straggle',
        '0.2',
        '--json',
      ];
      const { stdout } = await sim(...args, '--seed', seed);
      return JSON.parse(stdout).results[0].traceHash;
    };
    const [one, again, other] = await Promise.all([hash('1'), hash('1'), hash('2')]);
    expect(again).toBe(one);
    expect(other).not.toBe(one);
  });

  test('writes results and a trace where it is told', async () => {
    const [out, trace, mesh] = ['out.json', 'trace.json', 'mesh.json'].map((name) => join(folder, name));
    const machines = ['a', 'b'].map((name) => ({ name, speed: 1, cores: 2 }));
    writeFileSync(mesh!, JSON.stringify({ version: 1, name: 'two', machines }));
    const args = ['--graph', 'fork-join:40', '--mesh', mesh!, '--policy', 'mesh', '--seeds', '1'];
    const { code } = await sim(...args, '--out', out!, '--trace', trace!);
    expect(code).toBe(0);
    const { version, results } = JSON.parse(readFileSync(out!, 'utf8'));
    expect(version).toBe(1);
    expect(results).toMatchObject([{ graph: 'fork-join:40', mesh: 'two', policy: 'mesh', runs: 1 }]);
    const { traceEvents } = JSON.parse(readFileSync(trace!, 'utf8'));
    const builds = traceEvents.filter(
      (event: { ph: string; cat: string }) => event.ph === 'X' && event.cat === 'done',
    );
    expect(builds.length).toBeGreaterThanOrEqual(40);
    for (const { pid, tid, dur, args: said } of builds) {
      expect([0, 1]).toContain(pid);
      expect(tid).toBeLessThan(2);
      expect(dur).toBeGreaterThan(0);
      expect(said.why).not.toBe('');
    }
  });

  test.each([
    [['--seeds', 'x'], '--seeds takes a number'],
    [['--graph', 'nothing'], 'There is no graph "nothing"'],
    [['--mesh', 'moon'], 'There is no mesh "moon"'],
    [['--mesh', '/nowhere.json'], '/nowhere.json cannot be read'],
    [['--homes', '9', '--mesh', 'lan4'], '--homes 9 is more than the 4 machines'],
    [['--graph', 'wide:1', '--out', '/nowhere/x'], '/nowhere/x cannot be written'],
  ])('asked for %j says so in one line and ends with 2', async (args, sentence) => {
    const { code, stderr } = await sim(...args);
    expect(stderr).toContain(`sim: `);
    expect(stderr).toContain(sentence);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(code).toBe(2);
  });
});
