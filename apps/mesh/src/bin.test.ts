import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { arch, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const SCRIPT = fileURLToPath(new URL('../bin/mesh', import.meta.url));
const BUNDLED = `node_modules/node-linux-${arch() === 'arm64' ? 'arm64' : 'x64'}/bin`;

let root: string;
let bin: string;

/** A stand-in for Node that tells who it is and what it was given. */
function writeNode(dir: string, name: string, version: string): void {
  mkdirSync(dir, { recursive: true });
  const script = `#!/bin/sh\n[ "$1" = --version ] && { echo ${version}; exit; }\nshift 2\necho "${name}: $*"\n`;
  writeFileSync(join(dir, 'node'), script);
  chmodSync(join(dir, 'node'), 0o755);
}

function run(command: string, options: { path?: string; cwd?: string } = {}) {
  const env = { PATH: options.path ?? '/usr/bin:/bin' };
  const { status, stdout, stderr } = spawnSync(command, ['peers', 'a b'], {
    env,
    cwd: options.cwd ?? '/',
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'mesh bin-'));
  mkdirSync(join(root, 'apps/mesh/bin'), { recursive: true });
  mkdirSync(join(root, 'apps/mesh/dist'));
  writeFileSync(join(root, 'apps/mesh/dist/main.js'), '');
  bin = join(root, 'apps/mesh/bin/mesh');
  cpSync(SCRIPT, bin);
});
afterEach(() => {
  chmodSync(root, 0o755);
  rmSync(root, { recursive: true });
});

describe('bin/mesh', () => {
  it("starts the checkout's own Node with the arguments as they are", () => {
    writeNode(join(root, BUNDLED), 'bundled', 'v24.21.0');
    expect(run(bin)).toMatchObject({ status: 0, stdout: 'bundled: peers a b\n' });
  });

  it('works from any directory, through symlinks to symlinks, and by a relative path', () => {
    writeNode(join(root, BUNDLED), 'bundled', 'v24.21.0');
    mkdirSync(join(root, 'links'));
    symlinkSync('../apps/mesh/bin/mesh', join(root, 'links/one'));
    symlinkSync(join(root, 'links/one'), join(root, 'links/two'));
    expect(run(join(root, 'links/two')).stdout).toBe('bundled: peers a b\n');
    expect(run('./mesh', { cwd: join(root, 'apps/mesh/bin') }).stdout).toBe('bundled: peers a b\n');
    expect(run('links/one', { cwd: root }).stdout).toBe('bundled: peers a b\n');
  });

  it('works from a read-only copy at another path', () => {
    writeNode(join(root, BUNDLED), 'bundled', 'v24.21.0');
    const copy = join(root, 'copy');
    mkdirSync(copy);
    cpSync(join(root, 'apps'), join(copy, 'apps'), { recursive: true });
    cpSync(join(root, 'node_modules'), join(copy, 'node_modules'), { recursive: true });
    chmodSync(join(copy, 'apps/mesh/bin'), 0o555);
    expect(run(join(copy, 'apps/mesh/bin/mesh')).stdout).toBe('bundled: peers a b\n');
    chmodSync(join(copy, 'apps/mesh/bin'), 0o755);
  });

  it('takes a Node 24 on PATH where the checkout has none', () => {
    writeNode(join(root, 'other'), 'system', 'v26.0.0');
    expect(run(bin, { path: `${join(root, 'other')}:/usr/bin:/bin` }).stdout).toBe('system: peers a b\n');
  });

  it('says in one sentence what is missing', () => {
    writeNode(join(root, 'other'), 'system', 'v20.19.0');
    const old = run(bin, { path: `${join(root, 'other')}:/usr/bin:/bin` });
    expect(old).toMatchObject({ status: 1, stdout: '' });
    expect(old.stderr).toMatch(
      /^mesh: error: Node 24 or newer is needed and the one on PATH is v20\.19\.0; .*\n$/,
    );
    rmSync(join(root, 'apps/mesh/dist'), { recursive: true });
    const unbuilt = run(bin);
    expect(unbuilt.status).toBe(1);
    expect(unbuilt.stderr).toMatch(/^mesh: error: this checkout is not built; run "npm run build" in .*\n$/);
  });
});
