import { join } from 'node:path';
import { type Host, Lab, LabMesh, repositoryRoot, requireLab, until } from '@mesh/lab';
import {
  claimsProtocol,
  encodeEnvelope,
  encodeFrame,
  gossipProtocol,
  helloProtocol,
  joinProtocol,
  storeProtocol,
  workProtocol,
} from '@mesh/wire';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decodeTicket, encodeTicket } from '../../../packages/net/src/membership/ticket.ts';
import type { RawAnswer, RawQuestion } from '../../../packages/net/src/test-support/raw-peer.ts';
import { readStore, validOn } from './host-store.ts';
import { peersSeenBy, untilConnected } from './local-api.ts';
import { workload } from './workload.ts';

const NODE = [join(repositoryRoot, 'node_modules/.bin/node'), '--conditions=@mesh/source'];
const RAW_PEER = join(repositoryRoot, 'packages/net/src/test-support/raw-peer.ts');
const LYING_MEMBER = join(repositoryRoot, 'packages/transfer/src/test-support/lying-member.ts');
const MEMBERS_ONLY = [helloProtocol, gossipProtocol, workProtocol, claimsProtocol, storeProtocol];

/** The dialer's first frame, after which the other side begins to answer. */
const OPEN = encodeEnvelope({ k: 'open' }, 1_000);
const NONSENSE: Record<string, { bytes: Uint8Array; end: boolean }> = {
  'a message that is no CBOR': { bytes: encodeFrame(Buffer.alloc(16, 0xff)), end: false },
  'a message of another protocol': {
    bytes: encodeEnvelope({ k: 'm', b: { type: 'nonsense', drvPath: 7 } }, 1_000),
    end: false,
  },
  'a message of four gigabytes': { bytes: Buffer.alloc(64, 0xff), end: false },
  'half a message': { bytes: Buffer.from([0, 0, 0, 100, 1, 2, 3]), end: true },
};

/** A line of an agent's log. */
interface LogLine {
  level: number;
  msg: string;
  code?: string;
  protocol?: string;
}
const WARN = 40;

describe.skipIf(requireLab(['sid']))('machines that are not to be trusted', () => {
  let lab: Lab;
  let mesh: LabMesh;
  let home: Host;
  let member: Host;
  let other: Host;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: 3 });
    [home, member, other] = lab.hosts as [Host, Host, Host];
    mesh = await LabMesh.up(lab, { join: false });
    await mesh.join(member, home);
    await untilConnected([home, member]);
  });
  afterAll(async () => lab?.down());

  const warningsOf = (host: Host): LogLine[] =>
    mesh.agents
      .get(host.name)!
      .stderr.lines.filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as LogLine)
      .filter(({ level }) => level >= WARN);

  async function raw(host: Host, stateDir: string, questions: readonly RawQuestion[]): Promise<RawAnswer[]> {
    const command = [...NODE, RAW_PEER, stateDir, `/ip4/${home.address}/tcp/4747`];
    return JSON.parse((await host.exec(command, { input: JSON.stringify(questions) })).stdout) as RawAnswer[];
  }

  const ask = (protocol: { id: string }, bytes: Uint8Array, end = false): RawQuestion => ({
    protocol: protocol.id,
    bytes: Buffer.concat([OPEN, bytes]).toString('base64'),
    end,
  });

  async function buildsOn(host: Host): Promise<void> {
    const { code, stderr } = await mesh.build(
      host,
      workload('wide', '--arg', 'n', '2', '--argstr', 'seconds', '0'),
    );
    expect(code, stderr).toBe(0);
  }

  describe('tickets', () => {
    const invite = async (...more: string[]) => (await mesh.run(home, ['invite', ...more])).stdout.trim();

    /** Joining fails with one sentence, and leaves both sides as they were. */
    async function refused(ticket: string, sentence: RegExp, ...more: string[]): Promise<void> {
      const before = (await peersSeenBy(home)).members.length;
      const { code, stderr, stdout } = await mesh.run(other, ['join', ...more], {
        input: ticket,
        check: false,
      });
      expect(stderr).toMatch(sentence);
      expect(stderr.split('\n').filter((line) => line.startsWith('mesh: error: '))).toHaveLength(1);
      expect(stdout).toBe('');
      expect(code).toBe(1);
      expect((await peersSeenBy(home)).members).toHaveLength(before);
      expect((await peersSeenBy(other)).members.map(({ name }) => name)).toEqual(['h3']);
    }

    test('that have expired', async () => {
      const ticket = await invite('--ttl', '1s');
      await until(
        'the end of the ticket',
        5_000,
        () => Date.now() > decodeTicket(ticket).expiresAt || undefined,
      );
      await refused(ticket, /ask for a new one with `mesh invite`/);
    });

    test('that are cut short, mistyped, or something else', async () => {
      const ticket = await invite();
      await refused(ticket.slice(0, -7), /not a usable ticket .*run `mesh invite`/);
      const at = 20;
      const flipped = ticket.slice(0, at) + (ticket[at] === 'a' ? 'b' : 'a') + ticket.slice(at + 1);
      await refused(flipped, /not a usable ticket .*run `mesh invite`/);
      await refused('hello', /not a ticket.*`mesh invite`/);
      await refused('', /no ticket.*`mesh invite`/);
    });

    test('that are forged', async () => {
      const ticket = decodeTicket(await invite());
      const forged = encodeTicket({ ...ticket, token: new Uint8Array(16) });
      await refused(forged, /not made by this machine.*`mesh invite`/);
      // Right token, wrong machine: Noise tells.
      const { peerId } = (await peersSeenBy(member)).members.find(({ self }) => self)!;
      await refused(encodeTicket({ ...ticket, inviter: peerId }), /cannot be reached|closed the connection/);
    });

    test('on the command line', async () => {
      const { code, stderr } = await mesh.run(other, ['join', await invite()], { check: false });
      expect(code).toBe(2);
      expect(stderr).toMatch(/A ticket is a secret .*: run `mesh join` and paste it/);
    });
  });

  describe('a stranger', () => {
    test('hears nothing while nobody is invited', async () => {
      // What other tests invited must not be open any more.
      await mesh.agents.get(home.name)!.kill('SIGTERM');
      await mesh.agents.get(home.name)!.exited;
      await mesh.startAgent(home);
      await untilConnected([home, member]);
      const answers = await raw(
        other,
        '/var/lib/mesh',
        [...MEMBERS_ONLY, joinProtocol].map((protocol) => ask(protocol, encodeEnvelope({ k: 'end' }, 100))),
      );
      expect(answers.map(({ received, closed }) => ({ received, closed }))).toEqual(
        Array.from({ length: 6 }, () => ({ received: '', closed: true })),
      );
      const { peerId } = (await peersSeenBy(other)).members[0]!;
      expect((await peersSeenBy(home)).strangers.map((stranger) => stranger.peerId)).toContain(peerId);
      await mesh.run(home, ['invite']);
      const invited = await raw(
        other,
        '/var/lib/mesh',
        MEMBERS_ONLY.map((protocol) => ask(protocol, encodeEnvelope({ k: 'end' }, 100))),
      );
      expect(invited.map(({ received, closed }) => ({ received, closed }))).toEqual(
        Array.from({ length: 5 }, () => ({ received: '', closed: true })),
      );
      await buildsOn(home);
    });
  });

  describe('a member', () => {
    test.each(Object.entries(NONSENSE))(
      'that sends %s is turned off, and told of once',
      async (_, { bytes, end }) => {
        const protocols = [...MEMBERS_ONLY, joinProtocol];
        const before = warningsOf(home).length;
        const answers = await raw(
          member,
          '/var/lib/mesh',
          protocols.map((protocol) => ask(protocol, bytes, end)),
        );
        expect(answers.map(({ closed }) => closed)).toEqual(protocols.map(() => true));
        const warnings = warningsOf(home).slice(before);
        const told = warnings.map(({ protocol }) => protocol);
        expect(new Set(told).size).toBe(told.length);
        // Gossip before hello is given up at once, whatever it says.
        const sure = protocols.filter((protocol) => protocol !== gossipProtocol);
        expect(told).toEqual(expect.arrayContaining(sure.map(({ id }) => id)));
        for (const { code } of warnings) expect(code).toMatch(/^WIRE_(BAD_MESSAGE|FRAME_TOO_LARGE)$/);
        await buildsOn(home);
      },
    );

    /** Builds leaf-0 on a host behind the mesh's back; its path and how to ask for it. */
    async function builtOn(host: Host): Promise<{ args: string[]; path: string }> {
      const args = workload('late', '--arg', 'n', '1', '--argstr', 'seconds', '0');
      const command = ['nix-build', ...args.slice(1), '-A', 'leaves', '--no-out-link'];
      return { args, path: (await host.exec(command)).stdout.trim() };
    }

    async function expectBuiltAnew(args: readonly string[], path: string): Promise<void> {
      expect(await validOn(home, [path])).toEqual([path]);
      expect(readStore(home, path)).toBe('0\n');
      await home.exec(['nix-store', '--verify-path', path]);
      const own = mesh.build(home, args);
      expect((await own).code).toBe(0);
    }

    test('whose store is spoilt: its bytes are refused, the path is built anew', async () => {
      const { args, path } = await builtOn(member);
      await member.exec(['sh', '-c', 'chmod +w "$0" && echo spoilt >"$0"', path]);
      const wanted = await mesh.build(home, [...args, 'leaves.0']);
      expect(wanted.code, wanted.stderr).toBe(0);
      expect(wanted.stderr).toMatch(/warning: .*h2.*Planning again/);
      expect(wanted.stderr).toContain('h1: built leaf-0');
      expect(warningsOf(home).at(-1)?.code).toBe('TRANSFER_BAD_HASH');
      await expectBuiltAnew([...args, 'late'], path);
    });

    test('whose store is spoilt where others need it: its bytes are refused, the path is built anew', async () => {
      const { args, path } = await builtOn(member);
      await member.exec(['sh', '-c', 'chmod +w "$0" && echo spoilt >"$0"', path]);
      const { code, stderr } = await mesh.build(home, [...args, 'late', '--not', 'h2']);
      expect(code, stderr).toBe(0);
      expect(stderr).toContain('h1: built leaf-0');
      await expectBuiltAnew([...args, 'late'], path);
    });

    test('that signs with a key not its own: nothing of it is taken', async () => {
      await mesh.agents.get(member.name)!.kill('SIGTERM');
      await mesh.agents.get(member.name)!.exited;
      const liar = member.spawn([...NODE, LYING_MEMBER, 'h2', '/var/lib/mesh']);
      try {
        await liar.stdout.waitFor(/^up$/);
        await untilConnected([home]);
        const { args, path } = await builtOn(member);
        await until(
          'the liar',
          20_000,
          async () =>
            (await peersSeenBy(home)).members.some(({ name, connected }) => name === 'h2' && connected) ||
            undefined,
        );
        const { code, stderr } = await mesh.build(home, [...args, 'leaves.0']);
        expect(code, stderr).toBe(0);
        expect(stderr).toMatch(/warning: .*h2 described .* without a valid signature of a member/);
        expect(warningsOf(home).at(-1)?.code).toBe('TRANSFER_BAD_SIGNATURE');
        await expectBuiltAnew([...args, 'leaves.0'], path);
      } finally {
        await liar.kill('SIGKILL');
        await mesh.startAgent(member);
        await untilConnected([home, member]);
      }
    });
  });

  test('a ticket that was used is worth nothing to others', async () => {
    const { stdout: ticket } = await mesh.run(home, ['invite']);
    await mesh.run(other, ['join'], { input: ticket });
    await untilConnected(lab.hosts);
    const agent = other.spawn([
      'mesh',
      'agent',
      '--name',
      'late',
      '--state-dir',
      '/root/late',
      '--listen',
      '0',
      '--no-mdns',
    ]);
    await until('the agent that comes late', 20_000, async () => {
      const { code } = await mesh.run(other, ['status', '--state-dir', '/root/late'], { check: false });
      return code === 0 || undefined;
    });
    const late = await mesh.run(other, ['join', '--state-dir', '/root/late'], {
      input: ticket,
      check: false,
    });
    expect(late.code).toBe(1);
    expect(late.stderr).toMatch(/used.*`mesh invite`/);
    expect((await peersSeenBy(home)).members.map(({ name }) => name).sort()).toEqual(['h1', 'h2', 'h3']);
    await agent.kill('SIGTERM');
  });
});
