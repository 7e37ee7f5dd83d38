import type { Duplex } from 'node:stream';
import { Message } from '../daemon/constants.ts';
import { WireWriter } from '../daemon/wire-writer.ts';
import { MAX_TALK_BYTES } from './constants.ts';
import type { ClientTalk, TalkField } from './handlers.ts';

/** Where talk goes: the client's connection. */
export interface TalkSink {
  write(bytes: Uint8Array): void;
  /** Bytes written and not yet taken. */
  readonly waitingBytes: number;
}

const LOG_LINES: ReadonlySet<number> = new Set([101, 107]);
/** Progress and what is expected: only the newest counts. */
const STATES: ReadonlySet<number> = new Set([105, 106]);

/**
 * The upper half of an activity's id. Nix has its process id there, which Linux and macOS keep below 2^22; the number of the
 * connection keeps apart the activities of one client's several connections.
 */
const FIRST_UPPER_HALF = 0x4000_0000;
const UPPER_HALVES = 0x1000_0000;
let connections = 0;

/**
 * Talk to one client. Where it reads too slowly, log lines are left out and counted, and of progress only the newest is kept, so
 * that no more than some MiB wait; what was left out is said when there is room again. Everything else is always sent.
 */
export class ClientTalkWriter implements ClientTalk {
  readonly signal: AbortSignal;
  readonly #sink: TalkSink;
  readonly #upperHalf: number;
  readonly #running = new Set<number>();
  readonly #late = new Map<string, { activity: number; type: number; fields: readonly TalkField[] }>();
  #lastId = 0;
  #leftOut = 0;
  #ended = false;

  constructor(sink: TalkSink, signal: AbortSignal) {
    this.#sink = sink;
    this.signal = signal;
    this.#upperHalf = FIRST_UPPER_HALF + (connections++ % UPPER_HALVES);
  }

  /** Talk over a connection. */
  static over(client: Duplex, signal: AbortSignal): ClientTalkWriter {
    const sink: TalkSink = {
      write: (bytes) => void client.write(bytes),
      get waitingBytes() {
        return client.writableLength;
      },
    };
    return new ClientTalkWriter(sink, signal);
  }

  startActivity(activity: Parameters<ClientTalk['startActivity']>[0]): number {
    const id = ++this.#lastId;
    this.#running.add(id);
    const writer = new WireWriter().u64(Message.StartActivity);
    this.#id(writer, id).u64(activity.level).u64(activity.type).string(activity.text);
    writeFields(writer, activity.fields ?? []);
    this.#send(this.#id(writer, activity.parent ?? 0));
    return id;
  }

  result(activity: number, type: number, fields: readonly TalkField[]): void {
    if (this.#isFull()) {
      if (LOG_LINES.has(type)) {
        this.#leftOut += 1;
        return;
      }
      if (STATES.has(type)) {
        // 106 says of which kind of activity so many are expected.
        this.#late.set(`${activity} ${type} ${type === 106 ? fields[0] : ''}`, { activity, type, fields });
        return;
      }
    }
    this.#result(activity, type, fields);
  }

  stopActivity(activity: number): void {
    if (!this.#running.delete(activity)) return;
    this.#send(this.#id(new WireWriter().u64(Message.StopActivity), activity));
  }

  line(text: string): void {
    if (this.#isFull()) this.#leftOut += 1;
    else this.#send(new WireWriter().u64(Message.Next).string(`${text}\n`));
  }

  /** Says what is left to say and ends the activities that run: an answer follows. Nothing is said after it. */
  end(): void {
    this.#catchUp();
    for (const id of [...this.#running].reverse()) this.stopActivity(id);
    this.#ended = true;
  }

  #isFull(): boolean {
    if (this.#sink.waitingBytes > MAX_TALK_BYTES) return true;
    if (this.#leftOut > 0 || this.#late.size > 0) this.#catchUp();
    return false;
  }

  #catchUp(): void {
    const [late, leftOut] = [[...this.#late.values()], this.#leftOut];
    this.#late.clear();
    this.#leftOut = 0;
    for (const { activity, type, fields } of late) {
      if (this.#running.has(activity)) this.#result(activity, type, fields);
    }
    if (leftOut > 0) {
      const text = `${leftOut} lines of the log are left out here, because they came faster than they were read`;
      this.#send(new WireWriter().u64(Message.Next).string(`${text}\n`));
    }
  }

  #result(activity: number, type: number, fields: readonly TalkField[]): void {
    const writer = this.#id(new WireWriter().u64(Message.Result), activity).u64(type);
    this.#send(writeFields(writer, fields));
  }

  #id(writer: WireWriter, id: number): WireWriter {
    const bytes = Buffer.alloc(8);
    bytes.writeUInt32LE(id, 0);
    bytes.writeUInt32LE(id === 0 ? 0 : this.#upperHalf, 4);
    return writer.raw(bytes);
  }

  #send(writer: WireWriter): void {
    if (!this.#ended && !this.signal.aborted) this.#sink.write(writer.take());
  }
}

function writeFields(writer: WireWriter, fields: readonly TalkField[]): WireWriter {
  writer.u64(fields.length);
  for (const field of fields) {
    if (typeof field === 'string') writer.u64(1).string(field);
    else writer.u64(0).u64(Math.max(0, Math.floor(field)));
  }
  return writer;
}
