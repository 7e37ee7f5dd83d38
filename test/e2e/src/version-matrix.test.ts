import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import {
  type ExecResult,
  type Host,
  IMAGES,
  type Image,
  Lab,
  LabMesh,
  nixVersionOf,
  repositoryRoot,
  requireLab,
  until,
} from '@mesh/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { builtOn, offerFeatures, readStore, realisedOutputsOf } from './host-store.ts';
import { workloadFile } from './workload.ts';

const DOOR_PORT = 4750;
const MESH_BUILDER = join(repositoryRoot, 'apps/mesh/bin/mesh-builder');
const KEY = '/root/.ssh/id_ed25519';

/** The feature by which derivations ask for the worker with this image's Nix. */
const featureOf = (image: Image): string => `nix-${nixVersionOf(image)}`;
const FEATURES = IMAGES.map(featureOf);

/** Has `all` of an expression built, and gives its path; arguments as of `nix-build`. */
type Build = (home: Host, args: readonly string[]) => Promise<ExecResult>;

describe.skipIf(requireLab())('Nix of three versions, each as client and as worker', () => {
  let lab: Lab;
  let mesh: LabMesh;
  let homes: readonly Host[];
  let workers: readonly Host[];

  beforeAll(async () => {
    lab = await Lab.up({
      hosts: 2 * IMAGES.length,
      image: [...IMAGES, ...IMAGES],
      sshd: true,
      nixConf: 'extra-experimental-features = ca-derivations\n',
    });
    homes = lab.hosts.slice(0, IMAGES.length);
    workers = lab.hosts.slice(IMAGES.length);
    await Promise.all(workers.map((worker) => offerFeatures(worker, featureOf(worker.image))));
  });
  afterAll(async () => lab?.down());

  const configure = (host: Host, config: object): Promise<void> =>
    host.writeFile('/var/lib/mesh/config.json', JSON.stringify({ configVersion: 1, ...config }));
  const meshBuild = (home: Host, [file, ...args]: readonly string[]): Promise<ExecResult> =>
    mesh.build(home, ['-f', file!, 'all', ...args, '--print-out-paths', '-L']);
  const nixBuild = (home: Host, args: readonly string[], env: Record<string, string> = {}) =>
    home.exec(['nix-build', ...args, '-A', 'all', '--no-out-link'], { check: false, env });
  const onBuilders = (home: Host, args: readonly string[], builders: readonly string[]) =>
    nixBuild(home, [...args, '--builders', builders.join(' ; '), '--max-jobs', '0']);

  /** Has everything of test/workloads/kinds.nix built for one client, and looks at what came of it, worker by worker. */
  async function buildsEverywhere(client: (typeof IMAGES)[number], build: Build): Promise<void> {
    const home = homes[IMAGES.indexOf(client)]!;
    const salt = randomBytes(6).toString('hex');
    const machines = `[ ${FEATURES.map((feature) => `"${feature}"`).join(' ')} ]`;
    const args = [
      workloadFile('kinds'),
      ...['--argstr', 'salt', salt, '--arg', 'machines', machines, '--arg', 'floating', 'true'],
    ];
    const { code, stdout, stderr } = await build(home, args);
    expect(code, stderr).toBe(0);
    expect(stderr).not.toContain('@nix');
    const result = stdout.trim();
    // The name was built while it was evaluated.
    expect(result).toMatch(/^\/nix\/store\/[0-9a-z]{32}-imported$/);
    const lines = (each: (feature: string) => string): string => FEATURES.map(each).join('');
    expect(readStore(home, result)).toBe(
      lines((feature) => `library\ndocumentation\nfixed for ${feature} ${salt}\n`) +
        lines((feature) => `addressed on ${feature}\n`),
    );
    await home.exec(['nix-store', '--verify-path', result]);
    const attributes = ['many', 'last', 'addressed'];
    const selected = attributes.flatMap((attribute) => ['-A', attribute]);
    const drvs = (await home.exec(['nix-instantiate', ...args, ...selected])).stdout.trim().split('\n');
    expect(drvs).toHaveLength(attributes.length * workers.length);
    for (const [index, drv] of drvs.entries()) {
      const attribute = attributes[Math.floor(index / workers.length)];
      // The second step of a chain runs on the next machine.
      const worker = workers[(index + (attribute === 'last' ? 1 : 0)) % workers.length]!;
      const outputs = await realisedOutputsOf(home, drv);
      expect(outputs).toHaveLength(attribute === 'many' ? 3 : 1);
      for (const output of outputs)
        expect(await builtOn(workers, output), `${output} by ${worker.image}`).toEqual([worker.name]);
    }
    const talkative = drvs.slice(0, 2 * workers.length);
    const { stdout: log } = await home.exec(['nix-store', '--read-log', ...talkative]);
    const names = ['many', 'last'].flatMap((kind) => FEATURES.map((feature) => `${kind}-${feature}`));
    expect(log).toBe(names.map((name) => `first line of ${name}\nlast line of ${name}\n`).join(''));
    // The client was shown all of it, too.
    for (const name of names) expect(stderr).toContain(`last line of ${name}`);
  }

  describe('with workers that have no agent', () => {
    beforeAll(async () => {
      const machines = workers.map(
        ({ name, image }) => `ssh-ng://root@${name} - ${KEY} 2 1 ${featureOf(image)},ca-derivations`,
      );
      // How the daemon of Nix 2.3 greets: protocol 1.21.
      const greeting = String.raw`printf 'oixd\0\0\0\0\025\001\0\0\0\0\0\0'; exec cat >/dev/null`;
      await workers[0]!.writeFile('/root/old-nix-daemon', `#!/bin/sh\n${greeting}\n`, { executable: true });
      machines.push(`ssh-ng://root@${workers[0]!.address}?remote-program=/root/old-nix-daemon - ${KEY} 1`);
      await Promise.all(homes.map((home) => configure(home, { builders: { machines } })));
      mesh = await LabMesh.up(lab, { hosts: homes, join: false });
    });
    afterAll(async () => {
      await Promise.all([...(mesh?.agents.values() ?? [])].map((agent) => agent.kill()));
    });

    test.each(IMAGES)('`mesh build` at home on %s', (client) => buildsEverywhere(client, meshBuild));

    test('one with a Nix older than 2.8 is left out, and `mesh peers` says why in one sentence', async () => {
      const told = await until('the old Nix to be noticed', 60_000, async () => {
        const { builders } = JSON.parse((await mesh.run(homes[0]!, ['peers', '--json'])).stdout);
        return builders.find(({ name }: { name: string }) => name === workers[0]!.address)?.trouble;
      });
      expect(told).toMatch(/protocol 1\.21, older than 1\.34: upgrade to Nix 2\.8 or newer/);
      expect(told).not.toContain('\n');
    });
  });

  describe('with workers that are members', () => {
    beforeAll(async () => {
      const key = (await homes[0]!.exec(['ssh-keygen', '-y', '-f', KEY])).stdout.trim();
      const authorizedKeys = [{ name: 'client', key, rights: 'build' }];
      await Promise.all([
        ...homes.map((home) => configure(home, {})),
        ...workers.map((worker) =>
          configure(worker, { frontDoor: { enabled: true, port: DOOR_PORT, authorizedKeys } }),
        ),
      ]);
      mesh = await LabMesh.up(lab);
      const knownHosts = await Promise.all(
        workers.map(async (worker) => {
          const { stdout } = await mesh.run(worker, ['front-door', '--json']);
          return `${JSON.parse(stdout).knownHosts}\n`;
        }),
      );
      for (const home of homes) {
        await home.writeFile('/root/.ssh/known_hosts', knownHosts.join(''));
        await home.writeFile('/root/.ssh/config', workers.map(doorAlias).join(''));
      }
    });

    test.each(IMAGES)('`mesh build` at home on %s', (client) => buildsEverywhere(client, meshBuild));

    test.each(IMAGES)('Nix at the daemon socket of its agent on %s', (client) =>
      buildsEverywhere(client, (home, args) =>
        nixBuild(home, args, { NIX_REMOTE: 'unix:///run/mesh/nix.sock' }),
      ),
    );

    test.each(IMAGES)('Nix with the mesh as its builder on %s', (client) =>
      buildsEverywhere(client, (home, args) =>
        onBuilders(home, args, [
          `ssh-ng://localhost?remote-program=${MESH_BUILDER} - - 64 1 ${FEATURES.join(',')},ca-derivations`,
        ]),
      ),
    );

    test.each(IMAGES)('Nix at the front doors on %s', (client) =>
      buildsEverywhere(client, (home, args) =>
        onBuilders(
          home,
          args,
          workers.map(
            ({ name, image }) => `ssh-ng://door-${name} - - 8 1 ${featureOf(image)},ca-derivations`,
          ),
        ),
      ),
    );

    test.each([
      ['the mesh as its builder', `${MESH_BUILDER} --stdio`],
      ['a front door', 'ssh -T door-h4 nix-daemon --stdio'],
    ])('a Nix older than 2.8 reads at %s in one sentence why not', async (_, command) => {
      // How Nix 2.3 greets: protocol 1.21.
      const hello = String.raw`'cxin\0\0\0\0\025\001\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'`;
      const { stdout } = await homes[0]!.exec(['sh', '-c', `{ printf ${hello}; sleep 1; } | ${command}`], {
        check: false,
      });
      expect(stdout).toContain(
        'The mesh does not understand this Nix (protocol 1.21 is older than 1.34): use Nix 2.8 or newer there, or a newer mesh here.',
      );
    });
  });
});

/** Nix before 2.31 takes no port in a builder's address. */
function doorAlias({ name }: Host): string {
  return `Host door-${name}
  HostName ${name}
  HostKeyAlias [${name}]:${DOOR_PORT}
  Port ${DOOR_PORT}
  User mesh
  IdentityFile ${KEY}
  BatchMode yes
`;
}
