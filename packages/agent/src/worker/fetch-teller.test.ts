import { MAX_TOLD_SOURCES, workProtocol } from '@mesh/wire';
import { parse } from 'valibot';
import { describe, expect, test } from 'vitest';
import { PROGRESS_INTERVAL_MS } from '../constants.ts';
import { FetchTeller } from './fetch-teller.ts';

const ref = { lease: 'l-1', attempt: 2 };
const progress = (bytesDone: number, sources = [{ peer: 'a', bytes: bytesDone }]) => ({
  ...{ pathsDone: 1, pathsTotal: 3, bytesDone, bytesTotal: 9_000, bytesPerS: 100.5, sources },
});

describe('what a home is told of a fetch', () => {
  test('is what is to come, then how far it is', () => {
    const teller = new FetchTeller(ref, () => 0);
    expect(teller.plan(3, 9_000)).toEqual({ type: 'fetching', ...ref, paths: 3, bytes: 9_000 });
    expect(teller.progress(progress(500))).toEqual({
      ...{ type: 'fetching', ...ref, paths: 3, bytes: 9_000 },
      done: { paths: 1, bytes: 500, bytesPerS: 100.5, sources: [{ peer: 'a', bytes: 500 }] },
    });
  });

  test('is no more than two messages a second', () => {
    let nowMs = 0;
    const teller = new FetchTeller(ref, () => nowMs);
    const told: number[] = [];
    for (; nowMs <= 2_000; nowMs += 50) if (teller.progress(progress(nowMs))) told.push(nowMs);
    expect(told).toEqual([0, 1, 2, 3, 4].map((step) => step * PROGRESS_INTERVAL_MS));
  });

  test('names those that gave most, and no more than the home takes', () => {
    const sources = Array.from({ length: 500 }, (_, bytes) => ({ peer: `p-${bytes}`, bytes }));
    const message = new FetchTeller(ref, () => 0).progress(progress(1_000, sources));
    expect(message?.done?.sources).toHaveLength(MAX_TOLD_SOURCES);
    expect(message?.done?.sources[0]).toEqual({ peer: 'p-499', bytes: 499 });
    expect(parse(workProtocol.listenerSchema, message)).toEqual(message);
  });
});
