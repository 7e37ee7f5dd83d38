import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { onMains } from './power.ts';

type Supply = Record<string, string>;

describe('whether a machine is on mains power', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'mesh-power-'));
  });
  afterAll(() => rm(directory, { recursive: true }));

  async function withSupplies(...supplies: Supply[]): Promise<boolean> {
    const supplyDir = await mkdtemp(join(directory, 'supplies-'));
    for (const [index, supply] of supplies.entries()) {
      const folder = join(supplyDir, `supply${index}`);
      await mkdir(folder);
      for (const [file, text] of Object.entries(supply)) await writeFile(join(folder, file), `${text}\n`);
    }
    return onMains({ platform: 'linux', supplyDir });
  }

  const plug = (online: string): Supply => ({ type: 'Mains', online });
  const battery = (status: string): Supply => ({ type: 'Battery', status });

  test('a desktop is: it has no supplies, or an unused USB socket only', async () => {
    expect(await withSupplies()).toBe(true);
    expect(await withSupplies({ type: 'USB', online: '0' })).toBe(true);
    expect(await onMains({ platform: 'linux', supplyDir: join(directory, 'absent') })).toBe(true);
  });

  test('a laptop is while it is plugged in, by its own plug or by USB, whatever its battery does', async () => {
    expect(await withSupplies(plug('1'), battery('Charging'))).toBe(true);
    expect(await withSupplies(plug('0'), { type: 'USB', online: '1' }, battery('Discharging'))).toBe(true);
    expect(await withSupplies(plug('1'), battery('Discharging'))).toBe(true);
  });

  test('a laptop is not while its battery empties, nor is a machine whose UPS does', async () => {
    expect(await withSupplies(plug('0'), battery('Discharging'))).toBe(false);
    expect(await withSupplies(battery('Full'), battery('Discharging'))).toBe(false);
    expect(await withSupplies({ type: 'UPS', status: 'Discharging' })).toBe(false);
  });

  test('the battery of a mouse says nothing', async () => {
    expect(await withSupplies({ ...battery('Discharging'), scope: 'Device' })).toBe(true);
  });

  test('a Mac says so itself', async () => {
    const says = (pmset: string) => onMains({ platform: 'darwin', pmset: async () => pmset });
    expect(await says("Now drawing from 'AC Power'\n -InternalBattery-0 100%; charged; present: true")).toBe(
      true,
    );
    expect(await says("Now drawing from 'Battery Power'\n -InternalBattery-0 71%; discharging")).toBe(false);
    expect(await says('')).toBe(true);
  });
});
