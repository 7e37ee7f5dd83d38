import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readSettings } from './settings.ts';

let stateDir: string;
beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'mesh-config-'));
});
afterEach(() => rm(stateDir, { recursive: true, force: true }));

const settings = async (config: object) => {
  await writeFile(join(stateDir, 'config.json'), JSON.stringify(config));
  return readSettings(stateDir, { name: 'ruby' });
};

describe('what an owner offers, in config.json', () => {
  it('is everything where nothing is said', () => {
    expect(readSettings(stateDir, { name: 'ruby' })).toMatchObject({ offer: {}, tags: [] });
  });

  it('is read as it stands', async () => {
    const offer = {
      cores: 4,
      slots: 2,
      hours: ['22:00-07:00', '12:00-24:00'],
      submitters: ['kana'],
      onlyOnMains: true,
      ownShare: 0.25,
      maxMemoryPressure: 10,
      maxCpuPressureOfOthers: 30,
    };
    const keep = { maxBytes: '20G', maxAgeHours: 0.5 };
    expect(await settings({ offer, tags: ['rack1', 'ssd'], keep })).toMatchObject({
      offer,
      tags: ['rack1', 'ssd'],
      keep,
    });
  });

  it.each([
    { offer: { hours: ['22-7'] } },
    { offer: { hours: ['25:00-07:00'] } },
    { offer: { slots: -1 } },
    { upload: { limitRate: '10 MB/s' } },
    { upload: { hours: ['8-18'] } },
    { offer: { cores: 0 } },
    { offer: { ownShare: 1.5 } },
    { offer: { submiters: ['kana'] } },
    { offer: [] },
    { tags: ['two words'] },
    { tags: ['same', 'same'] },
    { keep: { maxBytes: '20 G' } },
    { keep: { maxBytes: -1 } },
    { keep: { maxAgeHours: '3d' } },
    { keep: { maxSize: 1 } },
    { cache: { port: 0 } },
    { cache: { enabled: 'no' } },
    { cache: { prio: 1 } },
  ])('is refused, naming the file, where it makes no sense: %j', async (config) => {
    await expect(settings(config)).rejects.toMatchObject({
      code: 'AGENT_BAD_CONFIG',
      message: expect.stringMatching(/config\.json is wrong \(.*\); mend or remove it\.$/),
    });
  });
});

describe('the binary cache, in config.json', () => {
  it('is on, at a port of its own, unless it is said otherwise', async () => {
    expect(await settings({})).toMatchObject({ cache: { port: 4749 } });
    expect(await settings({ cache: { port: 8080, priority: 10 } })).toMatchObject({
      cache: { port: 8080, priority: 10 },
    });
    expect((await settings({ cache: { enabled: false } })).cache).toBeUndefined();
  });
});
