import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readSettings } from '../settings.ts';

let stateDir: string;
beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'mesh-config-'));
});
afterEach(() => rm(stateDir, { recursive: true, force: true }));

const settings = async (config: object) => {
  await writeFile(join(stateDir, 'config.json'), JSON.stringify(config));
  return readSettings(stateDir, { name: 'ruby' });
};

describe('the network, in config.json', () => {
  it('has peers in all the ways people write addresses, before those of the command line', async () => {
    const peers = ['ruby', 'kana.example.org:5000', '[fd00::7]:4747', 'fd00::7', '/ip4/10.0.0.1/tcp/4747'];
    expect(await settings({ peers })).toMatchObject({ peers });
    expect(readSettings(stateDir, { name: 'ruby', peers: ['10.0.0.2'] }).peers).toEqual([
      ...peers,
      '10.0.0.2',
    ]);
  });

  it('has rules for interfaces, none by default', async () => {
    expect(await settings({})).toMatchObject({ interfaces: {} });
    const interfaces = { allow: ['eth0', 'wg*'], deny: ['tun0'] };
    expect(await settings({ interfaces })).toMatchObject({ interfaces });
  });

  it.each([
    { peers: ['two words'] },
    { peers: [''] },
    { interfaces: { allow: 'eth0' } },
    { interfaces: { only: [] } },
    { interfaces: { deny: ['a/b'] } },
  ])('is refused where it makes no sense: %j', async (config) => {
    await expect(settings(config)).rejects.toMatchObject({ code: 'AGENT_BAD_CONFIG' });
  });
});
