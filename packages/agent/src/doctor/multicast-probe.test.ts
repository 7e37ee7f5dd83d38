import { describe, expect, it } from 'vitest';
import { isServiceAnswer, serviceQuestion } from './multicast-probe.ts';

describe('a question for agents by multicast', () => {
  it('asks for the PTR records of _p2p._udp.local', () => {
    const hex = `${'0000'.repeat(2)}0001${'0000'.repeat(3)}`;
    const name = '045f703270045f756470056c6f63616c00';
    expect(serviceQuestion().toString('hex')).toBe(`${hex}${name}000c0001`);
  });

  it('is told from an answer, and answers of others from those of agents', () => {
    const answer = Buffer.from(serviceQuestion());
    answer[2] = 0x84;
    expect(isServiceAnswer(answer)).toBe(true);
    expect(isServiceAnswer(serviceQuestion())).toBe(false);
    expect(isServiceAnswer(Buffer.concat([answer.subarray(0, 12), Buffer.from('\x05_http')]))).toBe(false);
    expect(isServiceAnswer(Buffer.alloc(3))).toBe(false);
  });
});
