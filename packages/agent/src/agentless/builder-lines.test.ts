import { mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BuilderLines, type BuildersSetting } from './builder-lines.ts';
import { nixConfFiles, type ReadText } from './nix-conf-files.ts';

const readText: ReadText = (path) => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
};

describe('lines that name builders', () => {
  let dir: string;
  let machines: string;
  let nixConf: string;
  let asked: number;

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'builder-lines-'));
    machines = join(dir, 'machines');
    nixConf = join(dir, 'nix.conf');
    asked = 0;
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  /** Stands for `nix config show`: what it takes from nix.conf is one line. */
  async function readSetting(): Promise<BuildersSetting> {
    asked += 1;
    return { builders: /^builders = (.*)$/m.exec(readText(nixConf) ?? '')?.[1] ?? '', useSubstitutes: true };
  }

  const linesOf = (more: { fromNix?: boolean; machines?: string[] } = {}): BuilderLines =>
    new BuilderLines(
      { setting: { builders: `@${machines}`, useSubstitutes: false }, fromNix: true, machines: [], ...more },
      { readSetting, readText, env: { HOME: dir, NIX_CONF_DIR: dir, XDG_CONFIG_DIRS: join(dir, 'none') } },
    );
  const hosts = (lines: BuilderLines): string[] => lines.read().machines.map(({ uri }) => uri.host);

  it('are read again when the file is edited, replaced, made or removed', async () => {
    const lines = linesOf();
    expect(hosts(lines)).toEqual([]);
    expect(await lines.haveChanged()).toBe(false);

    writeFileSync(machines, 'ssh://ruby\n');
    expect(await lines.haveChanged()).toBe(true);
    expect(hosts(lines)).toEqual(['ruby']);
    expect(await lines.haveChanged()).toBe(false);

    writeFileSync(`${machines}.new`, 'ssh://kana\n');
    renameSync(`${machines}.new`, machines);
    expect(await lines.haveChanged()).toBe(true);
    expect(hosts(lines)).toEqual(['kana']);

    rmSync(machines);
    expect(await lines.haveChanged()).toBe(true);
    expect(hosts(lines)).toEqual([]);
    expect(asked).toBe(0);
  });

  it('are followed through symbolic links, as NixOS makes them', async () => {
    for (const host of ['ruby', 'kana']) writeFileSync(join(dir, host), `ssh://${host}\n`);
    symlinkSync(join(dir, 'ruby'), machines);
    const lines = linesOf();
    expect(hosts(lines)).toEqual(['ruby']);
    symlinkSync(join(dir, 'kana'), `${machines}.new`);
    renameSync(`${machines}.new`, machines);
    expect(await lines.haveChanged()).toBe(true);
    expect(hosts(lines)).toEqual(['kana']);
  });

  it('follow files that files name, and tell of wrong lines', async () => {
    writeFileSync(machines, `ssh://ruby\n@${join(dir, 'more')}\nruby - - many\n`);
    const lines = linesOf({ machines: ['ssh://aquamarine'] });
    expect(lines.read().troubles).toMatchObject([{ place: `${machines}:3` }]);
    writeFileSync(join(dir, 'more'), 'ssh://kana\n');
    expect(await lines.haveChanged()).toBe(true);
    expect(hosts(lines)).toEqual(['ruby', 'kana', 'aquamarine']);
  });

  it('come from Nix anew when its settings are edited', async () => {
    const lines = linesOf();
    expect(lines.read().useSubstitutes).toBe(false);
    writeFileSync(nixConf, 'builders = ssh://ruby ; ssh://kana\n');
    expect(await lines.haveChanged()).toBe(true);
    expect(hosts(lines)).toEqual(['ruby', 'kana']);
    expect(lines.read().useSubstitutes).toBe(true);
    expect(await lines.haveChanged()).toBe(false);
    expect(asked).toBe(1);
  });

  it('of Nix do not count where they are not wanted', () => {
    writeFileSync(machines, 'ssh://ruby\n');
    expect(hosts(linesOf({ fromNix: false, machines: ['ssh://kana'] }))).toEqual(['kana']);
  });
});

describe("the files of Nix's settings", () => {
  const files: Record<string, string> = {
    '/etc/nix/nix.conf': 'cores = 1\n!include local.conf\ninclude /srv/nix.conf\n# include /no\n',
    '/srv/nix.conf': 'include nix.conf\n',
  };
  const read: ReadText = (path) => files[path];

  it("are the system's with what they include, and the user's", () => {
    expect(nixConfFiles({ HOME: '/root', XDG_CONFIG_DIRS: '/etc/xdg' }, read)).toEqual([
      '/etc/nix/nix.conf',
      '/etc/nix/local.conf',
      '/srv/nix.conf',
      '/root/.config/nix/nix.conf',
      '/etc/xdg/nix/nix.conf',
    ]);
  });

  it('may be named by the environment', () => {
    expect(nixConfFiles({ NIX_CONF_DIR: '/a', NIX_USER_CONF_FILES: '/b:/c' }, read)).toEqual([
      '/a/nix.conf',
      '/b',
      '/c',
    ]);
  });
});
