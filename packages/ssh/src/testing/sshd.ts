import type { AddressInfo } from 'node:net';
import { connect, createServer, type Server, type Socket } from 'node:net';
import ssh2, { type Connection } from 'ssh2';
import { type HostKey, hostKeyOf } from '../known-hosts.ts';

/** An SSH server on 127.0.0.1 that lets one key in. */
export interface TestSshd {
  readonly port: number;
  /** Of the first host key. */
  readonly hostKey: HostKey;
  /** Connections that came in so far. */
  readonly accepted: number;
  /** Pulls the plug of everybody who is connected. */
  cut(): void;
  /** From now on nothing is read or answered, and nothing closed: a machine that went without a word. */
  freeze(): void;
  close(): void;
}

export function publicBlob(key: string): Buffer {
  const parsed = ssh2.utils.parseKey(key);
  if (parsed instanceof Error) throw parsed;
  return parsed.getPublicSSH();
}

/**
 * Commands: `cat` gives back what it reads; `refused` is not started; any other says its name on stdout, a word on stderr, and
 * ends with 7. @param authorized the key that is let in, @param hostKeys private keys
 */
export async function testSshd(authorized: string, hostKeys: readonly string[]): Promise<TestSshd> {
  const sockets = new Set<Socket>();
  let accepted = 0;
  const server = new ssh2.Server({ hostKeys: [...hostKeys] }, (client) =>
    serve(client, publicBlob(authorized)),
  );
  const front = createServer((socket) => {
    accepted += 1;
    sockets.add(socket);
    socket.on('error', () => undefined);
    server.injectSocket(socket);
  });
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: portOf(front),
    hostKey: hostKeyOf(publicBlob(hostKeys[0]!)),
    get accepted() {
      return accepted;
    },
    cut,
    freeze: () => {
      for (const socket of sockets) {
        socket.removeAllListeners('data');
        socket.pause();
      }
    },
    close: () => {
      cut();
      front.close();
    },
  };
}

function serve(client: Connection, allowed: Buffer): void {
  client.on('error', () => undefined);
  client.on('authentication', (attempt) => {
    if (attempt.method === 'publickey' && attempt.key.data.equals(allowed)) attempt.accept();
    else attempt.reject(['publickey']);
  });
  client.on('session', (accept) => {
    accept().on('exec', (start, refuse, { command }) => {
      if (command === 'refused') {
        refuse();
        return;
      }
      const stream = start();
      if (command === 'cat') {
        stream
          .on('data', (chunk: Buffer) => stream.write(chunk))
          .on('end', () => {
            stream.exit(0);
            stream.end();
          });
        return;
      }
      stream.stderr.write('a word aside');
      stream.write(`ran ${command}`);
      stream.exit(7);
      stream.end();
    });
  });
  client.on('tcpip', (accept, _refuse, { destIP, destPort }) => {
    const stream = accept();
    const socket = connect(destPort, destIP);
    socket
      .on('error', () => stream.destroy())
      .pipe(stream)
      .pipe(socket);
  });
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}
