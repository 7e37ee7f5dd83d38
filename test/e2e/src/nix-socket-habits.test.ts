import { type ExecResult, type Host, Lab, LabMesh, requireLab } from '@mesh/lab';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { readStore, validOn } from './host-store.ts';

const NIX_REMOTE = 'unix:///run/mesh/nix.sock';
/** As Nix calls it: a flake does not know by itself where it is evaluated. */
const SYSTEM = process.arch === 'arm64' ? 'aarch64-linux' : 'x86_64-linux';
/** An ordinary user, whom nix-daemon does not trust. */
const ALICE = '4711';
/** Generous, for a crowded test machine. */
const WITHIN_MS = 120_000;

/** What people do with Nix all day, with nothing changed but NIX_REMOTE. */
describe.skipIf(requireLab(['sid']))('habits of Nix at the daemon socket of an agent', () => {
  let lab: Lab;
  let mesh: LabMesh;
  let home: Host;
  let salt: string;

  beforeAll(async () => {
    // What the environments of `nix develop` are made with.
    const sandboxPaths = ['/bin/bash', '/lib', '/lib64', '/usr'];
    lab = await Lab.up({ hosts: 2, sandboxPaths, nixConf: 'flake-registry =\n' });
    home = lab.hosts[0]!;
    await home.exec([
      'sh',
      '-ec',
      `echo alice:x:${ALICE}:${ALICE}::/home/alice:/bin/sh >> /etc/passwd
       mkdir -p /home/alice && chown ${ALICE}:${ALICE} /home/alice`,
    ]);
    await home.writeFile('/srv/habits/flake/flake.nix', FLAKE);
    await home.writeFile('/srv/habits/flake/package.nix', PACKAGE);
    await home.writeFile('/srv/habits/system.nix', SYSTEM_OF_A_MACHINE);
    mesh = await LabMesh.up(lab);
  });
  afterAll(async () => lab?.down());

  beforeEach(async () => {
    salt = Math.random().toString(36).slice(2);
    await home.writeFile('/srv/habits/flake/salt', salt);
  });

  const nix = (command: readonly string[], env: Record<string, string> = {}): Promise<ExecResult> => {
    const settings = Object.entries({ NIX_REMOTE, ...env }).map(([name, value]) => `${name}=${value}`);
    return home.exec(['env', ...settings, ...command], {
      check: false,
      timeoutMs: WITHIN_MS,
      cwd: '/srv/habits',
    });
  };
  const nixAs = (uid: string, dir: string, command: readonly string[]): Promise<ExecResult> =>
    nix(['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', ...command], {
      HOME: dir,
      USER: 'alice',
    });
  const succeeds = async (run: Promise<ExecResult>): Promise<string> => {
    const { code, stdout, stderr } = await run;
    expect(code, stderr).toBe(0);
    return stdout;
  };
  /** The newest job: what the mesh built of all that. */
  const lastJob = async (): Promise<unknown> =>
    JSON.parse((await mesh.run(home, ['jobs', '--json'])).stdout).jobs[0];

  test('nix develop builds what a shell needs on the mesh, and runs in it', async () => {
    const shell = ['nix', 'develop', 'path:/srv/habits/flake', '-c', 'bash', '-c'];
    expect(await succeeds(nix([...shell, 'read line < $dependency; echo "$line"']))).toBe(`needed ${salt}\n`);
    expect(await lastJob()).toMatchObject({ state: 'built' });
    // What the environment's own setup says.
    expect(await succeeds(nix([...shell, 'echo $greeting']))).toBe('hello\n');
  });

  test('nix-shell builds what it is asked for', async () => {
    const expression = `(import /srv/habits/flake/package.nix { salt = "${salt}"; system = "${SYSTEM}"; }).shell`;
    const command = ['nix-shell', '-E', expression, '--run', 'read line < $dependency; echo "$line"'];
    expect(await succeeds(nix(command, { NIX_BUILD_SHELL: '/bin/bash' }))).toContain(`needed ${salt}\n`);
    expect(await lastJob()).toMatchObject({ state: 'built', built: 1 });
  });

  test('nix run builds a program and becomes it', async () => {
    const { code, stdout, stderr } = await nix(['nix', 'run', 'path:/srv/habits/flake', '--', 'an argument']);
    expect(stdout, stderr).toBe(`${salt} an argument\n`);
    expect(code).toBe(3);
    expect(await lastJob()).toMatchObject({ state: 'built' });
  });

  test('nix flake check evaluates through builds, and builds the checks', async () => {
    await succeeds(nix(['nix', 'flake', 'check', 'path:/srv/habits/flake']));
    expect(await lastJob()).toMatchObject({ state: 'built' });
    await home.writeFile('/srv/habits/flake/salt', `${salt} broken`);
    const { code, stderr } = await nix(['nix', 'flake', 'check', 'path:/srv/habits/flake']);
    expect(code, stderr).not.toBe(0);
    expect(stderr).toContain('the check does not hold');
  });

  test('a system is built, made a generation, switched to, and kept from the garbage collector', async () => {
    const profile = '/nix/var/nix/profiles/system';
    const generations: string[] = [];
    for (const version of ['1', '2']) {
      const args = ['--argstr', 'version', version, '--argstr', 'salt', salt];
      const built = await succeeds(nix(['nix-build', '/srv/habits/system.nix', ...args, '--no-out-link']));
      const system = built.trim();
      expect(await lastJob()).toMatchObject({ state: 'built' });
      await succeeds(nix(['nix-env', '--profile', profile, '--set', system]));
      // As nixos-rebuild does: the new system's own program, with the old one still there.
      const switched = await succeeds(nix(['/bin/sh', `${profile}/bin/switch-to-configuration`, 'switch']));
      expect(switched).toBe(`activating version ${version}\n`);
      generations.push(system);
    }
    await succeeds(nix(['nix-collect-garbage']));
    expect(await validOn(home, generations)).toEqual(generations);
    // Back, as by `nixos-rebuild --rollback`.
    await succeeds(nix(['nix-env', '--profile', profile, '--rollback']));
    expect(await succeeds(nix(['/bin/sh', `${profile}/bin/switch-to-configuration`]))).toContain('version 1');
  });

  test('a user that nobody trusts builds a home, installs it and keeps it', async () => {
    const dir = '/home/alice';
    const as = (command: readonly string[]): Promise<string> => succeeds(nixAs(ALICE, dir, command));
    const build = ['--argstr', 'version', 'home', '--argstr', 'salt', salt];
    const out = (
      await as(['nix-build', '/srv/habits/system.nix', ...build, '--out-link', `${dir}/result`])
    ).trim();
    expect(await lastJob()).toMatchObject({ state: 'built', submitter: 'alice' });
    await as(['nix-env', '--profile', `${dir}/generations`, '--set', out]);
    await as(['nix', 'profile', 'install', '--profile', `${dir}/profile`, out]);
    expect(await as([`${dir}/profile/bin/switch-to-configuration`])).toBe('activating version home\n');
    await home.exec(['rm', `${dir}/result`]);
    await succeeds(nix(['nix-collect-garbage']));
    expect(await validOn(home, [out])).toEqual([out]);
    expect(readStore(home, `${out}/bin/switch-to-configuration`)).toContain('activating');
    // What only those may do whom the daemon trusts stays theirs.
    const refused = await nixAs(ALICE, dir, ['nix', 'store', 'repair', out]);
    expect(refused.code).not.toBe(0);
  });
});

const PACKAGE = `{ salt, system }: rec {
  step = name: script: attributes: derivation ({
    inherit name system salt; builder = "/bin/sh"; args = [ "-c" script ];
  } // attributes);
  dependency = step "dependency" "echo needed $salt > $out" { };
  program = step "program" ''
    mkdir -p $out/bin
    { echo '#!/bin/sh'; echo "echo $salt "'$*'; echo exit 3; } > $out/bin/program
    chmod +x $out/bin/program
  '' { };
  check = step "check" "case $salt in *broken) echo the check does not hold; exit 1;; esac; echo > $out" { };
  # As the standard environment has it: a builder that is a shell, and a setup file.
  shell = derivation {
    name = "shell"; inherit system dependency; builder = "/bin/bash";
    stdenv = derivation {
      name = "stdenv"; inherit system; builder = "/bin/sh";
      args = [ "-c" "mkdir $out; echo 'export greeting=hello' > $out/setup" ];
    };
    outputs = [ "out" ];
    args = [ "-c" "echo > $out" ];
  };
}
`;

const FLAKE = `{ outputs = { self }: let
  all = import ./package.nix { salt = builtins.readFile ./salt; system = "${SYSTEM}"; };
  name = builtins.substring 0 6 (builtins.readFile all.dependency);
in {
  apps.${SYSTEM}.default = { type = "app"; program = "\${all.program}/bin/program"; };
  packages.${SYSTEM}.\${name} = all.dependency;
  checks.${SYSTEM}.holds = all.check;
  devShells.${SYSTEM}.default = all.shell;
}; }
`;

const SYSTEM_OF_A_MACHINE = `{ version, salt }: let
  step = name: script: attributes: derivation ({
    inherit name version salt; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ];
  } // attributes);
  parts = builtins.genList (i: step "part-\${toString i}" "echo part $version > $out" { }) 4;
in step "system-\${version}" ''
  mkdir -p $out/bin $out/etc; cat $parts > $out/etc/parts
  printf '#!/bin/sh\\necho activating version %s\\n' $version > $out/bin/switch-to-configuration
  chmod +x $out/bin/switch-to-configuration
'' { inherit parts; }
`;
