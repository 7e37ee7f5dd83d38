import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { runProgram } from '../program.ts';

let stateDir: string;
beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'mesh-config-command-'));
});
afterEach(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  await rm(stateDir, { recursive: true, force: true });
});

/** Runs `mesh config …` on the state directory; what it wrote to stdout and stderr. */
async function config(...args: string[]): Promise<{ out: string; err: string }> {
  const out = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  const err = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  await runProgram(['config', ...args, '--state-dir', stateDir], '0.1.0');
  const text = (spy: typeof out) => spy.mock.calls.map(([chunk]) => String(chunk)).join('');
  const written = { out: text(out), err: text(err) };
  vi.restoreAllMocks();
  return written;
}
const file = async () => JSON.parse(await readFile(join(stateDir, 'config.json'), 'utf8'));

describe('mesh config', () => {
  it('sets, gets and unsets one key of the file', async () => {
    expect((await config('set', 'offer.cores', '4')).err).toBe(
      `offer.cores = 4 in ${stateDir}/config.json\n`,
    );
    await config('set', 'tags', 'rack1', 'ssd');
    expect(await file()).toEqual({ configVersion: 1, offer: { cores: 4 }, tags: ['rack1', 'ssd'] });
    expect((await config('get', 'tags')).out).toBe('["rack1","ssd"]\n');
    expect((await config('get', 'offer')).out).toContain('"cores":4');
    await config('unset', 'offer.cores');
    expect(await file()).toEqual({ configVersion: 1, tags: ['rack1', 'ssd'] });
  });

  it('takes a line of a machines file with commas in it as one value', async () => {
    const line = 'ssh-ng://ryan@ruby x86_64-linux /root/.ssh/ruby 4 2 kvm,big-parallel';
    await config('set', 'builders.machines', line, '@/etc/more');
    expect(await file()).toMatchObject({ builders: { machines: [line, '@/etc/more'] } });
  });

  it('prints words bare, and as JSON where a program asks', async () => {
    await config('set', 'name', 'ruby');
    expect((await config('get', 'name')).out).toBe('ruby\n');
    expect((await config('get', 'name', '--json')).out).toBe('"ruby"\n');
    await expect(config('get', 'slots')).rejects.toMatchObject({ exitCode: 1, code: 'MESH_CONFIG_UNSET' });
  });

  it('lists every key with its value in force and where that is set', async () => {
    await config('set', 'offer.cores', '4');
    vi.stubEnv('MESH_OFFER_SLOTS', '2');
    const listed = JSON.parse((await config('list', '--json')).out) as { key: string }[];
    const row = (key: string) => listed.find((one) => one.key === key);
    expect(row('offer.cores')).toEqual({ key: 'offer.cores', value: 4, from: `${stateDir}/config.json` });
    expect(row('offer.slots')).toEqual({ key: 'offer.slots', value: 2, from: 'MESH_OFFER_SLOTS' });
    expect(row('mdns')).toEqual({ key: 'mdns', value: true, from: 'default' });
    expect((await config('list')).out).toMatch(/^slots +\(Nix's `max-jobs`\) +default$/m);
  });

  it('says what is in force where the environment decides otherwise', async () => {
    vi.stubEnv('MESH_SLOTS', '7');
    expect((await config('set', 'slots', '3')).err).toContain('in force is 7, from MESH_SLOTS\n');
  });

  it.each([
    [['set', 'offer.submiters', 'kana'], 'did you mean offer.submitters?'],
    [['get', 'cores'], 'did you mean offer.cores?'],
    [['unset', 'frobnicate'], '`mesh config list` has them all'],
    [['set', 'offer', '{}'], 'is a section: set one of its keys, cores,'],
    [['set', 'slots', '3', '4'], 'takes one value'],
    [['set', 'slots', 'many'], 'slots must be a whole number'],
    [['list', '--system'], 'one of --system, --user and --state-dir'],
  ])('refuses %j and writes nothing', async (args, sentence) => {
    await expect(config(...args)).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringContaining(sentence),
    });
    await expect(file()).rejects.toThrow('ENOENT');
  });

  it('edits a copy, and keeps the file until the copy is right', async () => {
    await config('set', 'keep.maxBytes', '20G');
    vi.stubEnv('VISUAL', '');
    const edit = (editor: string) => {
      vi.stubEnv('EDITOR', editor);
      return config('edit');
    };
    await expect(edit('sed -i s/20G/20X/')).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringMatching(/^The configuration stays as it was: .*keep\.maxBytes/),
    });
    await expect(edit('false')).rejects.toMatchObject({ code: 'MESH_EDITOR_FAILED' });
    expect((await edit('true')).err).toBe('nothing was changed\n');
    expect(await file()).toMatchObject({ keep: { maxBytes: '20G' } });
    await edit('sed -i s/20G/30G/');
    expect(await file()).toMatchObject({ keep: { maxBytes: '30G' } });
  });

  it('lets a wrong file be mended in the editor', async () => {
    await writeFile(join(stateDir, 'config.json'), '{"naem": "ruby"}');
    await expect(config('list')).rejects.toThrow('did you mean name?');
    vi.stubEnv('VISUAL', 'sed -i s/naem/name/');
    await config('edit');
    expect(await file()).toEqual({ configVersion: 1, name: 'ruby' });
  });
});
