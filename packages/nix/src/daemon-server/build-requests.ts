import { Message, Operation } from '../daemon/constants.ts';
import { WireWriter } from '../daemon/wire-writer.ts';
import { buildDerivationAnswer, errorMessage, failureOf, keyedResults } from './answers.ts';
import { readBuildDerivation, readBuildPaths } from './client-requests.ts';
import type { ClientBuildResult, ClientHandlers, ClientSettings, ClientTalk } from './handlers.ts';
import type { AgreedHandshake } from './handshake.ts';
import { mergeResults } from './merge-results.ts';

/** What becomes of a request that a handler was asked about. */
export type Outcome =
  /** Goes to the real daemon as it is. */
  | { readonly type: 'pass' }
  /** Is answered with these bytes. */
  | { readonly type: 'answer'; readonly bytes: Buffer }
  /** This goes to the real daemon, and its answer back through `merge`. */
  | {
      readonly type: 'ask-for-the-rest';
      readonly request: Buffer;
      readonly merge: (answer: Buffer) => Buffer;
    };

const PASS: Outcome = { type: 'pass' };

/** Asks the handler about a whole build request; modes other than the normal one are the real daemon's. */
export async function askForBuild(
  request: Buffer,
  handlers: ClientHandlers,
  talk: ClientTalk,
  settings: ClientSettings,
  handshake: AgreedHandshake,
): Promise<Outcome> {
  const { trust } = handshake;
  const operation = request.readUInt32LE(0);
  if (operation === Operation.BuildDerivation) {
    const build = readBuildDerivation(request);
    if (build?.mode !== 'normal') return PASS;
    const result = (await handlers.buildDerivation?.({ ...build, settings, trust }, talk)) ?? 'pass';
    if (result === 'pass') return PASS;
    return { type: 'answer', bytes: buildDerivationAnswer(build.derivation, result, handshake) };
  }
  const build = readBuildPaths(request);
  if (build?.mode !== 'normal') return PASS;
  const results = (await handlers.buildPaths?.({ ...build, settings, trust }, talk)) ?? 'pass';
  if (results === 'pass') return PASS;
  if (operation === Operation.BuildPaths) {
    const texts = [...results.values()].map(({ errorMsg }) => errorMsg).filter((text) => text !== '');
    // One is the answer itself; of several the answer only has the names.
    if (texts.length > 1) for (const text of texts) talk.line(`\u001b[31;1merror:\u001b[0m ${text}`);
    const failure = failureOf(results);
    return failure === undefined ? PASS : { type: 'answer', bytes: errorMessage(failure) };
  }
  return withResults(build.wanted, results, handshake);
}

function withResults(
  wanted: readonly string[],
  results: ReadonlyMap<string, ClientBuildResult>,
  handshake: AgreedHandshake,
): Outcome {
  const answered = new Map([...results].filter(([path]) => wanted.includes(path)));
  const rest = wanted.filter((path) => !answered.has(path));
  if (answered.size === 0) return PASS;
  const bytes = keyedResults(answered, handshake);
  if (rest.length === 0) {
    const head = new WireWriter(16).u64(Message.Last).u64(answered.size).take();
    return { type: 'answer', bytes: Buffer.concat([head, bytes]) };
  }
  return {
    type: 'ask-for-the-rest',
    request: new WireWriter().u64(Operation.BuildPathsWithResults).strings(rest).u64(0).take(),
    merge: (answer) => mergeResults(answer, answered.size, bytes),
  };
}
