import { NixError, stripAnsi } from '../errors.ts';
import { MAX_ACTIVITIES, MAX_FIELDS, MAX_TRACES, Message } from './constants.ts';
import { activityOf, type DaemonEvent, type Field, resultEvent } from './events.ts';
import { protocolError, type WireReader } from './wire-reader.ts';

/** Takes one event; a promise makes the daemon wait. */
export type Emit = (event: DaemonEvent) => Promise<void> | undefined;

/**
 * Gives activities small ids. Nix's have the process id in their upper half, so they do not fit a JavaScript number.
 */
export class ActivityIds {
  readonly #known = new Map<string, number>([['0', 0]]);
  #last = 0;

  of(id: string): number {
    const known = this.#known.get(id);
    if (known !== undefined) return known;
    if (this.#known.size > MAX_ACTIVITIES) throw protocolError('more activities than anything real has');
    this.#last += 1;
    this.#known.set(id, this.#last);
    return this.#last;
  }

  /** The id of an activity that ends. */
  end(id: string): number {
    const known = this.of(id);
    if (known !== 0) this.#known.delete(id);
    return known;
  }
}

/**
 * Reads what a daemon tells until it says that the answer follows (the "stderr loop").
 * @throws NixError NIX_DAEMON_ERROR with the daemon's own message; the connection stays usable then
 */
export async function readMessages(reader: WireReader, ids: ActivityIds, emit: Emit): Promise<void> {
  for (;;) {
    const kind = await reader.message();
    switch (kind) {
      case Message.Last:
        return;
      case Message.Error:
        throw await readError(reader);
      case Message.Next:
        await emit({ type: 'text', text: stripAnsi(await reader.string()).replace(/\n$/, '') });
        break;
      case Message.StartActivity: {
        const id = ids.of(await reader.id());
        const level = await reader.u64();
        const activity = activityOf(await reader.u64());
        const text = stripAnsi(await reader.string());
        const fields = await readFields(reader);
        const parent = ids.of(await reader.id());
        await emit({ type: 'start', id, level, activity, text, fields, parent });
        break;
      }
      case Message.StopActivity:
        await emit({ type: 'stop', id: ids.end(await reader.id()) });
        break;
      case Message.Result: {
        const id = ids.of(await reader.id());
        const code = await reader.u64();
        await emit(resultEvent(id, code, await readFields(reader)));
        break;
      }
      default:
        throw protocolError(`the unknown message ${kind.toString(16)}`);
    }
  }
}

async function readFields(reader: WireReader): Promise<Field[]> {
  const fields: Field[] = [];
  for (let left = await reader.count(MAX_FIELDS); left > 0; left--) {
    const type = await reader.u64();
    if (type === 0) fields.push(await readInteger(reader));
    else if (type === 1) fields.push(await reader.string());
    else throw protocolError(`a field of the unknown type ${type}`);
  }
  return fields;
}

/** Counters may be any 64 bits (negative ones have been seen); what a number cannot hold exactly is rounded. */
async function readInteger(reader: WireReader): Promise<number> {
  return Number(BigInt.asIntN(64, BigInt(`0x${await reader.id()}`)));
}

async function readError(reader: WireReader): Promise<NixError> {
  const type = await reader.string(64);
  if (type !== 'Error') throw protocolError('an error of an unknown type');
  await reader.u64();
  await reader.string();
  const message = stripAnsi(await reader.string());
  await noPosition(reader);
  const traces: string[] = [];
  for (let left = await reader.count(MAX_TRACES); left > 0; left--) {
    await noPosition(reader);
    traces.push(stripAnsi(await reader.string()));
  }
  return daemonError([message, ...traces].join('\n'));
}

async function noPosition(reader: WireReader): Promise<void> {
  if ((await reader.u64()) !== 0)
    throw protocolError('an error with a source position, which no daemon sends');
}

/** The daemon's own error, its first line in the sentence and the whole of it in `nixMessage`. */
export function daemonError(nixMessage: string): NixError {
  const first = nixMessage.trim().split('\n', 1)[0] ?? '';
  return new NixError('NIX_DAEMON_ERROR', `The nix-daemon answered with an error: ${first}`, { nixMessage });
}
