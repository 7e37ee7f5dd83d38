import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Host, IMAGES, type Image, Lab, repositoryRoot, requireLab } from '@mesh/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { problemsIn } from '../../../packages/agent/src/config/problems.ts';

/** What nix/tests/evaluate.nix answers. */
interface Machine {
  refused: string[];
  warnings: string[];
  file: string | null;
  services: Record<string, { script: string; serviceConfig: Record<string, unknown> }>;
  firewall: { allowedTCPPorts: number[]; allowedUDPPorts: number[] };
  nix: Record<string, string[]>;
  users: string[];
  variables: Record<string, string>;
}

const EVERYTHING = `{
  enable = true;
  name = "ruby";
  roles = [ "build" "submit" ];
  enrolmentKeyFile = "/run/secrets/ticket";
  openFirewall = true;
  maxJobs = 4;
  cores = 6;
  tags = [ "rack1" "ssd" ];
  hours = [ "22:00-07:00" "12:00-24:00" ];
  settings = { upload.limitRate = "10M"; offer.ownShare = 0.25; cache.port = 5000; listenPort = 4800; };
  useAsSubstituter = true;
  publicKey = "mesh-ruby:AAAA";
  setNixRemote = true;
}`;

describe.skipIf(requireLab())('the NixOS module', () => {
  let lab: Lab;
  let newest: Host;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: IMAGES.length, image: IMAGES });
    newest = lab.hosts.find(({ image }) => image === 'sid')!;
  });
  afterAll(async () => lab?.down());

  /** Evaluates a module beside the mesh's; the answer, or what Nix said. */
  async function evaluate(module: string, host = newest): Promise<Machine> {
    const file = join(repositoryRoot, 'nix/tests/evaluate.nix');
    const args = ['--eval', '--strict', '--json', file, '--arg', 'module', module];
    const { code, stdout, stderr } = await host.exec(['nix-instantiate', ...args], { check: false });
    if (code !== 0) throw new Error(stderr);
    return JSON.parse(stdout);
  }
  const services = (options: string, host?: Host) => evaluate(`{ services.mesh = ${options}; }`, host);
  const config = ({ file }: Machine) => JSON.parse(file ?? 'null');

  test('sets nothing unless it is enabled', async () => {
    expect(await services('{ name = "ruby"; }')).toMatchObject({
      file: null,
      services: {},
      users: [],
      firewall: { allowedTCPPorts: [] },
    });
  });

  test('enabled and no more, it runs an agent that configures itself', async () => {
    const machine = await services('{ enable = true; }');
    expect(machine).toMatchObject({ refused: [], warnings: [], users: ['mesh'], variables: {} });
    expect(config(machine)).toEqual({ configVersion: 1 });
    expect(machine.nix['trusted-users']).toEqual(['mesh']);
    expect(machine.firewall).toEqual({ allowedTCPPorts: [], allowedUDPPorts: [] });
    expect(Object.keys(machine.services)).toEqual(['mesh']);
    expect(machine.services.mesh?.serviceConfig).toMatchObject({
      ExecStart: expect.stringMatching(/bin\/mesh agent$/),
      User: 'mesh',
      AmbientCapabilities: 'CAP_SETUID CAP_SETGID',
      ProtectSystem: 'strict',
    });
  });

  test.each(IMAGES)(
    'makes of its options a configuration that the agent takes (Nix of %s)',
    async (image: Image) => {
      const machine = await services(EVERYTHING, lab.hosts.find((host) => host.image === image)!);
      expect(machine).toMatchObject({ refused: [], warnings: [] });
      expect(config(machine)).toEqual({
        configVersion: 1,
        name: 'ruby',
        slots: 4,
        tags: ['rack1', 'ssd'],
        listenPort: 4800,
        offer: { cores: 6, hours: ['22:00-07:00', '12:00-24:00'], ownShare: 0.25 },
        upload: { limitRate: '10M' },
        cache: { port: 5000 },
      });
      expect(problemsIn(config(machine))).toEqual([]);
      expect(machine.firewall).toEqual({ allowedTCPPorts: [4800, 4748], allowedUDPPorts: [5353] });
      expect(machine.nix.substituters).toEqual(['http://127.0.0.1:5000']);
      expect(machine.nix['trusted-public-keys']).toEqual(['mesh-ruby:AAAA']);
      expect(machine.variables).toEqual({ NIX_REMOTE: 'unix:///run/mesh/nix.sock' });
      expect(machine.services['mesh-enrol']?.serviceConfig).toMatchObject({
        LoadCredential: 'ticket:/run/secrets/ticket',
        User: 'mesh',
      });
    },
  );

  test('gives machines without an agent to the agent', async () => {
    const line = 'ssh-ng://builder@aquamarine aarch64-linux - 4 1 kvm';
    const machine = await services(`{ enable = true; extraBuilders = [ "${line}" ]; }`);
    expect(config(machine)).toMatchObject({ builders: { machines: [line] } });
    expect(problemsIn(config(machine))).toEqual([]);
  });

  test('opens the front door where it is on', async () => {
    const { firewall } = await services(
      '{ enable = true; openFirewall = true; settings.frontDoor.enabled = true; }',
    );
    expect(firewall.allowedTCPPorts).toEqual([4747, 4748, 4750]);
  });

  test('without the role build it gives others nothing', async () => {
    const machine = await services('{ enable = true; roles = [ "submit" ]; }');
    expect(config(machine)).toMatchObject({ offer: { slots: 0 } });
  });

  test('merges what several modules say, by priority', async () => {
    const machine = await evaluate(`{ lib, ... }: {
      imports = [
        { services.mesh = { enable = lib.mkDefault false; tags = [ "rack1" ]; name = lib.mkDefault "kana"; }; }
        { services.mesh.settings.offer = { cores = 4; slots = lib.mkIf false 9; }; }
      ];
      services.mesh = {
        enable = true;
        name = "ruby";
        tags = [ "ssd" ];
        settings = lib.mkMerge [ { offer.ownShare = 0.5; } { offer.cores = lib.mkForce 2; } ];
      };
    }`);
    expect(config(machine)).toMatchObject({ name: 'ruby', offer: { cores: 2, ownShare: 0.5 } });
    expect(config(machine).offer.slots).toBeUndefined();
    expect(config(machine).tags.toSorted()).toEqual(['rack1', 'ssd']);
  });

  test.each([
    ['useAsSubstituter = true; settings.cache.enabled = false;', "needs the agent's binary cache"],
    ['setNixRemote = true; roles = [ "build" ];', 'add "submit" to services.mesh.roles'],
    ['enrolmentKeyFile = "ticket";', 'is not an absolute path'],
    ['enrolmentKeyFile = /etc/hostname;', 'the Nix store is readable by everybody'],
    ['enrolmentKeyFile = "/nix/store/abc-ticket";', 'the Nix store is readable by everybody'],
    ['settings.listenPort = 4749;', "two of the agent's ports are the same (4749, 4748, 4749)"],
    ['settings.offer.core = 4;', 'there is no key offer.core;'],
    ['settings.frob = 1;', 'there is no key frob;'],
  ])('refuses %s with a sentence', async (options, sentence) => {
    const { refused } = await services(`{ enable = true; ${options} }`);
    expect(refused).toEqual([expect.stringContaining(sentence)]);
  });

  test.each([
    ['hours = [ "22-7" ];', /services\.mesh\.hours.* is not of type/],
    ['roles = [ "king" ];', /services\.mesh\.roles.* is not of type/],
    ['name = "two words";', /services\.mesh\.name.* is not of type/],
    ['cores = 0;', /services\.mesh\.cores.* is not of type/],
    ['maxJobs = "4";', /services\.mesh\.maxJobs.* is not of type/],
    ['job = 4;', /services\.mesh\.job.* does not exist/],
  ])('does not evaluate with %s', async (options, message) => {
    await expect(services(`{ enable = true; ${options} }`)).rejects.toThrow(message);
  });

  test('warns where Nix asks the cache and trusts nothing of it', async () => {
    const { warnings } = await services('{ enable = true; useAsSubstituter = true; }');
    expect(warnings).toEqual([expect.stringContaining('mesh cache trust --nixos')]);
  });

  test('the enrolment joins once a ticket', async () => {
    const machine = await services('{ enable = true; enrolmentKeyFile = "/run/secrets/ticket"; }');
    const script = machine.services['mesh-enrol']?.script ?? '';
    const joins = `${(/\/nix\/store\/\S+\/bin\/mesh/.exec(script) ?? [])[0]}`;
    const fake = '#!/bin/sh\n[ "$1" = join ] && cat "$2" >> /tmp/joined\n';
    await newest.exec(['mkdir', '-p', '/var/lib/mesh', '/tmp/credentials']);
    await newest.writeFile('/tmp/mesh', fake, { executable: true });
    await newest.writeFile('/tmp/enrol', script.replaceAll(joins, '/tmp/mesh'));
    const enrol = async (ticket: string) => {
      await newest.writeFile('/tmp/credentials/ticket', ticket);
      await newest.exec(['sh', '-e', '/tmp/enrol'], { env: { CREDENTIALS_DIRECTORY: '/tmp/credentials' } });
    };
    for (const ticket of ['one\n', 'one\n', 'two\n']) await enrol(ticket);
    expect(await newest.readFile('/tmp/joined')).toBe('one\ntwo\n');
  });

  test('the package fetches every package of the lock file by its hash', () => {
    const { packages } = JSON.parse(readFileSync(join(repositoryRoot, 'package-lock.json'), 'utf8'));
    for (const [path, { link, version, integrity }] of Object.entries<Record<string, unknown>>(packages))
      if (path.includes('node_modules/') && !link)
        expect({ version, integrity }, path).toEqual({
          version: expect.any(String),
          integrity: expect.stringMatching(/^sha512-/),
        });
  });
});
