import { type Host, Lab, LabMesh, requireLab } from '@mesh/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  addNixConf,
  builtOn,
  closureOn,
  offerFeatures,
  outputsOf,
  readStore,
  validOn,
} from './host-store.ts';
import { soundReport } from './sound-report.ts';
import { workload } from './workload.ts';

const BIG_MIB = 200;
const NOISY_LINES = 10_000;
/** A binary cache on home's disk, in place of one on the internet. */
const CACHE = '/var/cache/binaries';

describe.skipIf(requireLab(['sid']))('what crosses the mesh', () => {
  let lab: Lab;
  let mesh: LabMesh;
  let home: Host;
  let second: Host;
  let third: Host;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 3, nixConf: 'extra-experimental-features = ca-derivations\n' });
    [home, second, third] = lab.hosts as [Host, Host, Host];
    await home.writeFile(`${CACHE}/nix-cache-info`, 'StoreDir: /nix/store\n');
    await addNixConf(home, `substituters = file://${CACHE}\nrequire-sigs = false\n`);
    await Promise.all([offerFeatures(second, 'even'), offerFeatures(third, 'odd')]);
    mesh = await LabMesh.up(lab);
  });
  afterAll(async () => lab?.down());

  /** Builds away from home what must succeed; answers the only result's paths by output, and the report. */
  async function away(args: readonly string[], ...more: string[]) {
    const { code, stdout, stderr, report } = await mesh.build(home, [
      ...args,
      '--not',
      'h1',
      '--json',
      ...more,
    ]);
    expect(code, stderr).toBe(0);
    const [result] = JSON.parse(stdout) as { drvPath: string; outputs: Record<string, string> }[];
    return { ...result!, stderr, report: soundReport(report) };
  }

  describe('closures', () => {
    test('arrive whole at workers: references of references that nobody asked for', async () => {
      const work = workload('closure', '--arg', 'features', '[ "even" "odd" ]');
      const { outputs, report } = await away([...work, 'walk']);
      for (const { name, peer } of report.derivations) {
        const level = /^level-(\d+)$/.exec(name)?.[1];
        if (level !== undefined) expect(peer, name).toBe(Number(level) % 2 === 0 ? 'h2' : 'h3');
      }
      expect(readStore(home, outputs.out!)).toBe('6 levels\n');
      // Only the text came home: it refers to no level.
      expect(await closureOn(home, outputs.out!)).toEqual([outputs.out]);
    });

    test('arrive whole at home, each path from a machine that has it', async () => {
      const work = workload('closure', '--arg', 'features', '[ "even" "odd" ]');
      const { outputs } = await away([...work, 'top']);
      const closure = await closureOn(home, outputs.out!);
      expect(closure).toHaveLength(6);
      await home.exec(['nix-store', '--verify-path', ...closure]);
      const builders = await Promise.all(closure.map((path) => builtOn(lab.hosts, path)));
      expect(builders.flat().sort()).toEqual(['h2', 'h2', 'h2', 'h3', 'h3', 'h3']);
    });

    test('go out from a home that has part of them', async () => {
      const work = workload('closure');
      await mesh.run(home, ['build', ...work, 'top', '--local', '--no-link']);
      const { outputs, report } = await away([...work, 'walk']);
      expect(report.derivations.map(({ name }) => name)).toEqual(['walk']);
      expect(report.peers.find(({ name }) => name === 'h1')!.bytesOut).toBeGreaterThan(0);
      expect(readStore(home, outputs.out!)).toBe('6 levels\n');
    });

    test('outputs that refer to themselves and to each other', async () => {
      const { outputs } = await away(workload('multi', 'multi'));
      const closure = await closureOn(home, outputs.out!);
      expect(closure.map((path) => path.replace(/^\/nix\/store\/[^-]*-/, ''))).toEqual([
        'multi-lib',
        'multi',
      ]);
      await home.exec(['nix-store', '--verify-path', ...closure]);
      expect(readStore(home, `${outputs.out}/references`)).toContain(`${outputs.out} refers to itself`);
    });

    test(`an output of ${BIG_MIB} MiB`, async () => {
      const work = workload('big', 'big', '--arg', 'mb', `${BIG_MIB}`);
      const { outputs, report } = await away(work);
      expect(report.bytesFetched).toBeGreaterThan(BIG_MIB * 2 ** 20);
      const [builder] = await builtOn(lab.hosts, outputs.out!);
      const hosts = [home, lab.host(builder!)];
      const sums = await Promise.all(hosts.map((host) => host.exec(['sha256sum', outputs.out!])));
      expect(sums[0]!.stdout).toBe(sums[1]!.stdout);
      await home.exec(['nix-store', '--verify-path', outputs.out!]);
    });
  });

  describe('logs', () => {
    const lines = Array.from({ length: NOISY_LINES }, (_, i) => `line ${i + 1} of a build that talks a lot`);

    test('of a build that ran elsewhere are with the Nix at home, whole', async () => {
      const { drvPath, stderr } = await away(workload('noisy'));
      const text = `${lines.join('\n')}\n`;
      expect((await home.exec(['nix', 'log', drvPath])).stdout).toBe(text);
      expect((await mesh.run(home, ['log', drvPath])).stdout).toBe(text);
      expect((await mesh.run(home, ['log', 'noisy'])).stdout).toBe(text);
      expect(stderr, 'nobody asked for the log').not.toContain('line 1 ');
    });

    test('-L shows them as they come, in order', async () => {
      const { stderr } = await away(workload('noisy'), '-L');
      const shown = stderr.split('\n').filter((line) => line.startsWith('noisy> '));
      expect(shown).toEqual(lines.map((line) => `noisy> ${line}`));
    });

    test('mesh log -f follows a build to its end', async () => {
      const build = mesh.build(home, workload('shared', 'slow', '--not', 'h1'));
      const follow = home.spawn(['sh', '-c', 'until mesh log -f slow; do sleep 0.1; done']);
      await follow.stdout.waitFor(/^slow runs$/, 60_000);
      expect((await build).code).toBe(0);
      expect((await follow.exited).code).toBe(0);
    });
  });

  describe('what a substituter offers', () => {
    test('comes from there and is not built, whatever machines the job chose', async () => {
      const work = workload('features', '--argstr', 'feature', 'nobody-has-this');
      const { stdout } = await home.exec(['nix-instantiate', ...work.slice(1), '-A', 'special']);
      const [output] = outputsOf(home, stdout.trim());
      await offer(output!, 'from a cache');

      const { report, outputs } = await away([...work, 'dependant']);
      const places = report.derivations.map(({ name, peer }) => [name, peer]);
      expect(places).toContainEqual(['special', 'h1']);
      expect(places).not.toContainEqual(['dependant', 'h1']);
      expect(readStore(home, outputs.out!)).toBe('from a cache\n');
    });

    /** Puts a path of this content into the binary cache that home knows. */
    async function offer(path: string, content: string): Promise<void> {
      const text = `${content}\n`;
      await home.writeFile('/root/offered', text);
      const script = `
        dump() { nix-store --dump /root/offered; }
        mkdir -p ${CACHE}/nar && dump > ${CACHE}/nar/$1.nar
        hash=sha256:$(nix-hash --type sha256 --base32 --flat ${CACHE}/nar/$1.nar)
        size=$(wc -c < ${CACHE}/nar/$1.nar)
        printf 'StorePath: %s\\nURL: nar/%s.nar\\nCompression: none\\nFileHash: %s\\nFileSize: %s\\nNarHash: %s\\nNarSize: %s\\nReferences: \\n' \
          "$2" "$1" $hash $size $hash $size > ${CACHE}/$1.narinfo`;
      await home.exec(['sh', '-ec', script, 'sh', path.slice('/nix/store/'.length).slice(0, 32), path]);
    }
  });

  describe('derivations whose outputs have no path before they are built', () => {
    test('are built anywhere, and what takes its path from theirs at home', async () => {
      const work = workload('content-addressed', 'dependant', '--print-out-paths');
      const result = await mesh.build(home, work);
      expect(result.code, result.stderr).toBe(0);
      const { derivations } = soundReport(result.report);
      const places = new Map(derivations.map(({ name, peer }) => [name, peer]));
      expect([...places.keys()].sort()).toEqual(['addressed', 'addressed-dependant']);
      expect(places.get('addressed-dependant')).toBe('h1');
      expect(readStore(home, result.stdout.trim())).toMatch(/^content of /);
    });

    test('come home from a machine that was chosen, and home knows them from then on', async () => {
      const work = workload('content-addressed', 'addressed', '--print-out-paths');
      const { code, stdout, stderr, report } = await mesh.build(home, [...work, '--not', 'h1']);
      expect(code, stderr).toBe(0);
      expect(soundReport(report).derivations[0]!.peer).not.toBe('h1');
      expect(readStore(home, stdout.trim())).toMatch(/^content of /);
      const known = await home.exec(['nix', 'build', ...work, '--no-link', '--max-jobs', '0']);
      expect(known.stdout).toBe(stdout);
    });

    test('are told with the paths they got', async () => {
      const { stdout } = await mesh.run(home, [
        'build',
        ...workload('content-addressed', 'addressed'),
        '--no-link',
        '--json',
      ]);
      const [{ drvPath, outputs }] = JSON.parse(stdout);
      expect(outputsOf(home, drvPath)).toEqual(['']);
      expect(await validOn(home, [outputs.out])).toEqual([outputs.out]);
      expect(outputs.out).toMatch(/-addressed$/);
    });
  });
});
