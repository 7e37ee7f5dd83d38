import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConfigFile } from './config-file.ts';
import { layerOf, mergeLayers, readLayers } from './layers.ts';
import { readSettings } from './settings.ts';

let dir: string;
let stateDir: string;
let machineDir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mesh-layers-'));
  stateDir = join(dir, 'state');
  machineDir = join(dir, 'etc');
  await Promise.all([mkdir(stateDir), mkdir(machineDir)]);
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const write = (where: string, config: unknown) =>
  writeFile(join(where, 'config.json'), typeof config === 'string' ? config : JSON.stringify(config));

describe('where a setting comes from', () => {
  it('is, from weak to strong: nothing, the machine, the agent, the environment, the command line', async () => {
    const env: Record<string, string> = {};
    const port = (given = {}) =>
      readSettings(stateDir, { name: 'ruby', ...given }, { machineDir, env }).listenPort;
    expect(port()).toBe(4747);
    await write(machineDir, { listenPort: 1 });
    expect(port()).toBe(1);
    await write(stateDir, { listenPort: 2 });
    expect(port()).toBe(2);
    env.MESH_LISTEN_PORT = '3';
    expect(port()).toBe(3);
    expect(port({ listenPort: 4 })).toBe(4);
  });

  it('is decided key by key, not section by section; a list is one value', async () => {
    await write(machineDir, { offer: { cores: 4, hours: ['22:00-07:00'] }, tags: ['rack1'] });
    await write(stateDir, { offer: { hours: ['12:00-13:00'] } });
    const layers = readLayers({ stateDir, machineDir, env: { MESH_TAGS: 'ssd,quiet' } });
    expect(mergeLayers(layers)).toEqual({
      offer: { cores: 4, hours: ['12:00-13:00'] },
      tags: ['ssd', 'quiet'],
    });
    const place = (path: string) => layerOf(path, layers)?.layer.place(path);
    expect(place('offer.cores')).toBe(join(machineDir, 'config.json'));
    expect(place('offer.hours')).toBe(join(stateDir, 'config.json'));
    expect(place('tags')).toBe('MESH_TAGS');
    expect(place('slots')).toBeUndefined();
  });

  it('may say no where a weaker one says yes', async () => {
    await write(machineDir, { mdns: true, offer: { onlyOnMains: true, slots: 3 } });
    await write(stateDir, { offer: { onlyOnMains: false, slots: 0 } });
    const { mdns, offer } = readSettings(stateDir, {}, { machineDir, env: { MESH_MDNS: 'false' } });
    expect({ mdns, offer }).toEqual({ mdns: false, offer: { onlyOnMains: false, slots: 0 } });
  });

  it.each([
    [
      'MESH_OFFER_CORES',
      'four',
      'MESH_OFFER_CORES in the environment is wrong: offer.cores must be a whole number',
    ],
    ['MESH_MDNS', 'yes', 'mdns must be true or false, not "yes"'],
    ['MESH_OFFER_HOURS', '8-18', 'offer.hours[0] cannot be "8-18", but for example "22:00-07:00"'],
  ])('is refused, named, where it is wrong: %s=%s', (variable, text, sentence) => {
    expect(() => readLayers({ stateDir, env: { [variable]: text } })).toThrow(
      expect.objectContaining({
        code: 'AGENT_BAD_CONFIG',
        exitCode: 2,
        message: expect.stringContaining(sentence),
      }),
    );
  });

  it("is no environment variable that is empty, or somebody else's", () => {
    const env = { MESH_NAME: '', MESH_STATE_DIR: '/x', MESH_FROB: '1' };
    expect(mergeLayers(readLayers({ stateDir, env }))).toEqual({});
  });
});

describe('a configuration file', () => {
  it.each([
    [{ offer: { submiters: ['kana'] } }, 'there is no key offer.submiters; did you mean offer.submitters?'],
    [{ lisenPort: 1 }, 'there is no key lisenPort; did you mean listenPort?'],
    [{ cores: 4 }, 'there is no key cores; did you mean offer.cores?'],
    [{ frobnicate: 4 }, 'there is no key frobnicate)'],
    [{ offer: { cores: 'four' } }, 'offer.cores must be a whole number, not "four"'],
    [{ offer: { cores: 0 } }, 'offer.cores must be at least 1, not 0'],
    [{ offer: { ownShare: 1.5 } }, 'offer.ownShare must be at most 1, not 1.5'],
    [{ offer: [] }, 'offer must be an object, not []'],
    [{ keep: { maxBytes: '20 G' } }, '(keep.maxBytes cannot be "20 G", but for example "20G")'],
    [{ tags: ['a', 'two words'] }, 'tags[1] cannot be "two words", but for example'],
    [{ mdns: 1, slots: -1 }, 'slots must be at least 0, not -1; mdns must be true or false, not 1'],
    ['{', 'it is not JSON'],
    ['[]', 'it must be an object'],
  ])('names its place and the nearest right key: %j', async (config, clause) => {
    await write(stateDir, config);
    const file = new ConfigFile(stateDir);
    expect(() => file.read()).toThrow(
      expect.objectContaining({ exitCode: 2, message: expect.stringContaining(clause) }),
    );
    expect(() => file.read()).toThrow(`${file.path} is wrong (`);
  });

  it('of a version to come is refused politely', async () => {
    await write(stateDir, { configVersion: 2, offer: 'of another shape' });
    expect(() => new ConfigFile(stateDir).read()).toThrow(
      /is of version 2 and this mesh knows version 1 only; upgrade/,
    );
  });

  it('has at most a MiB', async () => {
    await write(stateDir, `{${' '.repeat(1024 * 1024)}}`);
    expect(() => new ConfigFile(stateDir).read()).toThrow('it is larger than');
  });

  it('is written only when it is right, and says its version', async () => {
    const file = new ConfigFile(join(dir, 'new'));
    expect(file.read()).toEqual({});
    await expect(stat(join(dir, 'new')), 'reading makes nothing').rejects.toThrow('ENOENT');
    expect(() => file.write({ offer: { cores: 0 } })).toThrow('offer.cores must be at least 1');
    file.write({ offer: { cores: 2 } });
    expect(file.read()).toEqual({ offer: { cores: 2 } });
    expect(() => file.write({ slots: 'x' })).toThrow('slots must be a whole number');
    expect(file.read()).toEqual({ offer: { cores: 2 } });
  });

  it('that is wrong can be replaced', async () => {
    await write(stateDir, '{');
    const file = new ConfigFile(stateDir);
    file.write({ name: 'ruby' });
    expect(file.read()).toEqual({ name: 'ruby' });
  });
});
