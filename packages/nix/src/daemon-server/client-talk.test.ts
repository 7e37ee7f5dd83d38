import { describe, expect, test } from 'vitest';
import { wire } from '../daemon/testing/wire-bytes.ts';
import { ClientTalkWriter } from './client-talk.ts';
import { MAX_TALK_BYTES } from './constants.ts';

const NEXT = 0x6f6c6d67;

function talkTo() {
  const said: Buffer[] = [];
  const sink = { waitingBytes: 0, write: (bytes: Uint8Array) => void said.push(Buffer.from(bytes)) };
  return { sink, said, talk: new ClientTalkWriter(sink, new AbortController().signal) };
}

describe('talk to a client', () => {
  test('has ids that no process of Nix has, and of two connections never the same', () => {
    const idOf = () => {
      const { said, talk } = talkTo();
      talk.startActivity({ level: 3, type: 105, text: 'x' });
      return said[0]!.readBigUInt64LE(8);
    };
    const [one, other] = [idOf(), idOf()];
    expect(one >> 32n).toBeGreaterThan(4_194_304n);
    expect(one).not.toBe(other);
  });

  test('leaves log lines out where the client is slow, and says how many; the newest progress comes late', () => {
    const { sink, said, talk } = talkTo();
    const id = talk.startActivity({ level: 3, type: 105, text: 'x' });
    sink.waitingBytes = MAX_TALK_BYTES + 1;
    for (let line = 0; line < 10; line++) talk.result(id, 101, [`line ${line}`]);
    talk.result(id, 105, [1, 9, 0, 0]);
    talk.result(id, 105, [2, 9, 0, 0]);
    expect(said).toHaveLength(1);
    sink.waitingBytes = 0;
    talk.result(id, 101, ['after']);
    expect(said[1]!.subarray(-16)).toEqual(wire(0, 0));
    expect(said[1]!.subarray(32, 48)).toEqual(wire(0, 2));
    expect(said[2]!.subarray(0, 8)).toEqual(wire(NEXT));
    expect(said[2]!.toString()).toContain('10 lines of the log are left out');
    expect(said[3]!.toString()).toContain('after');
  });

  test('ends what still runs, and then nothing is said', () => {
    const { said, talk } = talkTo();
    talk.startActivity({ level: 3, type: 105, text: 'x' });
    talk.end();
    expect(said[1]!.subarray(0, 8)).toEqual(wire(0x53544f50));
    talk.line('late');
    expect(said).toHaveLength(2);
  });
});
