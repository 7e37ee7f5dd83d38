import { type Host, Lab, LabMesh, requireLab } from '@mesh/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const OWN = '/var/lib/mesh/config.json';
const MACHINE = '/etc/mesh/config.json';

describe.skipIf(requireLab(['sid']))('the configuration of an agent', () => {
  let lab: Lab;
  let mesh: LabMesh;
  let host: Host;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 1 });
    [host] = lab.hosts as [Host];
    await host.writeFile(MACHINE, JSON.stringify({ tags: ['rack1'], offer: { slots: 1, cores: 2 } }));
    mesh = await LabMesh.up(lab);
  });
  afterAll(async () => lab?.down());

  const config = async (...args: string[]) => await mesh.run(host, ['config', ...args], { check: false });
  const row = async (key: string) => {
    const rows = JSON.parse((await config('list', '--json')).stdout) as { key: string; from: string }[];
    return rows.find((one) => one.key === key);
  };
  const tags = async () => {
    const { members } = JSON.parse((await mesh.run(host, ['peers', '--json'])).stdout);
    return members[0].tags;
  };

  test("the machine's file is in force where the agent's own says nothing", async () => {
    expect(await tags()).toEqual(['rack1']);
    expect(await row('offer.cores')).toEqual({ key: 'offer.cores', value: 2, from: MACHINE });
  });

  test('what is set goes into the own file, and an agent that runs is to be restarted for it', async () => {
    const { code, stderr } = await config('set', '--system', 'tags', 'ssd', 'quiet');
    expect(code, stderr).toBe(0);
    expect(stderr).toBe(
      `tags = ["ssd","quiet"] in ${OWN}\nthe agent that runs takes it when it is restarted\n`,
    );
    expect(JSON.parse(await host.readFile(OWN))).toMatchObject({ configVersion: 1, tags: ['ssd', 'quiet'] });
    expect(await tags()).toEqual(['rack1']);
    await mesh.agents.get(host.name)!.kill('SIGTERM');
    await mesh.startAgent(host);
    expect(await tags()).toEqual(['ssd', 'quiet']);
    expect(await row('tags')).toEqual({ key: 'tags', value: ['ssd', 'quiet'], from: OWN });
  });

  test("another user has a file of his own, and may not touch the machine's", async () => {
    const asUser = async (...args: string[]) => {
      const user = ['setpriv', '--reuid=1234', '--regid=1234', '--clear-groups'];
      const env = { HOME: '/tmp/user' };
      return await host.exec([...user, 'mesh', 'config', ...args], { check: false, env });
    };
    await host.exec(['install', '-d', '-o', '1234', '/tmp/user']);
    const refused = await asUser('set', '--system', 'slots', '1');
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/\/var\/lib\/mesh\/config\.json cannot be read by this user; .*sudo/);
    expect((await asUser('set', 'slots', '1')).code).toBe(0);
    expect(JSON.parse(await host.readFile('/tmp/user/.local/state/mesh/config.json'))).toMatchObject({
      slots: 1,
    });
    expect((await asUser('get', 'tags')).stdout, "the machine's file lies under it").toBe('["rack1"]\n');
  });

  test("written by root it is the agent's user's", async () => {
    await host.exec(['install', '-d', '-o', '1235', '-g', '1236', '-m', '700', '/tmp/agent']);
    await config('set', '--state-dir', '/tmp/agent', 'slots', '1');
    const { stdout } = await host.exec(['stat', '-c', '%u:%g', '/tmp/agent/config.json']);
    expect(stdout).toBe('1235:1236\n');
  });

  test.each([
    [MACHINE, '{"offer":{"slot":1}}', 'there is no key offer.slot; did you mean offer.slots?'],
    [MACHINE, '{"tags":"rack1"}', 'tags must be a list, not "rack1"'],
    [MACHINE, '{"configVersion":7}', 'is of version 7 and this mesh knows version 1 only'],
  ])('a wrong %s stops the agent with a sentence: %s', async (path, content, sentence) => {
    const before = await host.readFile(path);
    await host.writeFile(path, content);
    const { code, stderr } = await mesh.run(host, ['agent', '--state-dir', '/root/other'], { check: false });
    await host.writeFile(path, before);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(`${path} is`) });
    expect(stderr).toContain(sentence);
  });
});
