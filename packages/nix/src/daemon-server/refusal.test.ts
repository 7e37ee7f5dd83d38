import { expect, test } from 'vitest';
import { wire } from '../daemon/testing/wire-bytes.ts';
import { read, servePair } from './testing/served-pair.ts';

const CLIENT = 0x6e697863;
const DAEMON = 0x6478696f;
const ERROR = 0x63787470;
const TEXT =
  'The mesh does not understand this Nix (protocol 1.21 is older than 1.34): use Nix 2.8 or newer there, or a newer mesh here.';

/** A client of this version shakes hands; gives what it hears after the daemon's greeting, until the connection ends. */
async function heardBy(minor: number): Promise<Buffer> {
  const { client, daemon, served } = servePair({}, undefined, { refusal: () => undefined });
  client.write(wire(CLIENT, 0x100 + minor, 0, 0));
  daemon.write(wire(DAEMON, 0x100 + 38));
  await read(client, 16);
  const heard = await read(client, 10_000);
  client.destroy();
  await served;
  return heard;
}

test('a Nix too old to be followed reads why, in the words of errors of its time', async () => {
  expect(await heardBy(21)).toEqual(wire(ERROR, TEXT, 1));
});

test('errors have a level and a name since 1.26, and the version of Nix stands before them since 1.33', async () => {
  const text = (minor: number): string => TEXT.replace('1.21', `1.${minor}`);
  expect(await heardBy(26)).toEqual(wire(ERROR, 'Error', 0, 'Error', text(26), 0, 0));
  expect(await heardBy(33)).toEqual(wire('', ERROR, 'Error', 0, 'Error', text(33), 0, 0));
});
