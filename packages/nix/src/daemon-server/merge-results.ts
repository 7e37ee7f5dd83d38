import { protocolError } from '../daemon/wire-reader.ts';
import { WireWriter } from '../daemon/wire-writer.ts';
import { ByteReader } from './byte-reader.ts';
import { MessageWalker } from './message-walker.ts';

/**
 * Puts results before those of a daemon's whole answer to BuildPathsWithResults; an error stays as it is.
 * @param results `count` results with their wanted paths, as they are written
 */
export function mergeResults(answer: Buffer, count: number, results: Buffer): Buffer {
  const messages = new MessageWalker(protocolError);
  const end = messages.walk(answer, 0);
  if (messages.ended === 'error') return answer;
  const reader = new ByteReader(answer, end);
  const total = new WireWriter(16).u64(reader.u64() + count).take();
  return Buffer.concat([answer.subarray(0, end), total, results, answer.subarray(reader.at)]);
}
