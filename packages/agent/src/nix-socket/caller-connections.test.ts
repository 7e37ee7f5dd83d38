import { execFile } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CallerConnections, mayActForOthers } from './caller-connections.ts';
import { credentialsReader, type PeerCredentials } from './peer-credentials.ts';

describe.skipIf(process.platform !== 'linux' || !mayActForOthers())(
  'a connection in the name of a caller',
  () => {
    let dir: string;
    let server: Server;
    let connections: CallerConnections;
    let seen: PeerCredentials[];
    let accepted: Socket[];

    beforeEach(async () => {
      dir = await mkdtemp(join(tmpdir(), 'mesh-callers-'));
      await chmod(dir, 0o755);
      const read = await credentialsReader();
      seen = [];
      accepted = [];
      server = createServer((socket) => {
        accepted.push(socket);
        seen.push(read(socket));
        socket.end('hello');
      });
      await new Promise<void>((resolve) => server.listen(join(dir, 'socket'), resolve));
      await chmod(join(dir, 'socket'), 0o666);
      connections = new CallerConnections(join(dir, 'socket'));
    });
    afterEach(async () => {
      connections.stop();
      for (const socket of accepted) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      await rm(dir, { recursive: true });
    });

    const hear = async (caller: PeerCredentials): Promise<string> => {
      const socket = await connections.connect(caller);
      let text = '';
      for await (const chunk of socket) text += chunk;
      return text;
    };

    it('is seen as of that user, with its groups, by whoever listens', async () => {
      expect(await hear({ uid: 4711, gid: 4712, groups: [4713, 4714] })).toBe('hello');
      expect(seen).toEqual([{ uid: 4711, gid: 4712, groups: [4713, 4714] }]);
    });

    it('has no more groups than the caller', async () => {
      await hear({ uid: 4711, gid: 4711, groups: [] });
      expect(seen).toEqual([{ uid: 4711, gid: 4711, groups: [] }]);
    });

    it('keeps callers apart that come at once', async () => {
      const callers = Array.from({ length: 20 }, (_, i) => ({
        uid: 5_000 + i,
        gid: 6_000 + i,
        groups: [7_000 + i],
      }));
      const own = { uid: process.geteuid!(), gid: process.getegid!() };
      await Promise.all([...callers, own].map((caller) => hear(caller)));
      const byUser = [...seen].sort((a, b) => a.uid - b.uid);
      expect(byUser.slice(1)).toEqual(callers);
      expect(byUser[0]).toMatchObject(own);
    });

    it('needs no root: an agent of its own user with CAP_SETUID and CAP_SETGID acts for all, root too', async () => {
      const script = `
      import { CallerConnections } from ${JSON.stringify(new URL('./caller-connections.ts', import.meta.url).href)};
      const connections = new CallerConnections(${JSON.stringify(join(dir, 'socket'))});
      const alive = setInterval(() => undefined, 1_000);
      for (const id of [4711, 0, 4712]) {
        const socket = await connections.connect({ uid: id, gid: id, groups: [id] });
        for await (const chunk of socket) if (chunk.toString() !== 'hello') process.exitCode = 1;
      }
      connections.stop();
      clearInterval(alive);`;
      await writeFile(join(dir, 'agent.mjs'), script);
      // With the last of these the checkout may stand where only its owner can look.
      const powers = '+setuid,+setgid,+dac_read_search';
      await promisify(execFile)('setpriv', [
        ...[
          '--reuid=4700',
          '--regid=4700',
          '--clear-groups',
          `--inh-caps=${powers}`,
          `--ambient-caps=${powers}`,
        ],
        ...[process.execPath, '--conditions=@mesh/source', join(dir, 'agent.mjs')],
      ]);
      await expect
        .poll(() => seen.map(({ uid, gid, groups }) => [uid, gid, groups]))
        .toEqual([
          [4711, 4711, [4711]],
          [0, 0, [0]],
          [4712, 4712, [4712]],
        ]);
    });

    it('is refused where the caller may not connect', async () => {
      await chmod(join(dir, 'socket'), 0o600);
      await expect(hear({ uid: 4711, gid: 4711, groups: [] })).rejects.toThrow('EACCES');
      await chmod(join(dir, 'socket'), 0o666);
      expect(await hear({ uid: 4711, gid: 4711, groups: [] })).toBe('hello');
    });
  },
);
