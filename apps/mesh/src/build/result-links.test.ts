import { lstat, mkdtemp, readdir, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { replaceLink, resultLinks } from './result-links.ts';

const STORE = '/nix/store';
let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mesh-links-'));
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

describe('names of result links', () => {
  it('number the installables and name the outputs, as nix build does', () => {
    const results = [
      new Map([
        ['out', '/nix/store/a'],
        ['dev', '/nix/store/a-dev'],
      ]),
      new Map([['out', '/nix/store/b']]),
      new Map([['man', '/nix/store/c-man']]),
    ];
    expect(resultLinks('/w/result', results)).toEqual([
      { link: '/w/result', target: '/nix/store/a' },
      { link: '/w/result-dev', target: '/nix/store/a-dev' },
      { link: '/w/result-1', target: '/nix/store/b' },
      { link: '/w/result-2-man', target: '/nix/store/c-man' },
    ]);
  });
});

describe('making a result link', () => {
  it('replaces an older one and leaves nothing else behind', async () => {
    const link = join(dir, 'result');
    await replaceLink(link, '/nix/store/old', STORE);
    await replaceLink(link, '/nix/store/new', STORE);
    expect(await readlink(link)).toBe('/nix/store/new');
    expect(await readdir(dir)).toEqual(['result']);
  });

  it('says where a link cannot be made', async () => {
    const link = join(dir, 'none', 'result');
    await expect(replaceLink(link, '/nix/store/new', STORE)).rejects.toMatchObject({
      code: 'MESH_LINK_FAILED',
      message: expect.stringContaining(`${link} cannot be made (no such file or directory)`),
    });
  });

  it('never replaces what is not a link into the store', async () => {
    const file = join(dir, 'file');
    const elsewhere = join(dir, 'elsewhere');
    await writeFile(file, 'precious');
    await symlink('/etc/hosts', elsewhere);
    for (const link of [file, elsewhere]) {
      await expect(replaceLink(link, '/nix/store/new', STORE)).rejects.toMatchObject({
        code: 'MESH_LINK_EXISTS',
        exitCode: 1,
      });
    }
    expect((await lstat(file)).isFile()).toBe(true);
    expect(await readlink(elsewhere)).toBe('/etc/hosts');
  });
});
