/** What a tar archive of ours holds: no owners, no times, so that the same tree is the same archive. */
export type TarEntry =
  | {
      readonly type: 'file';
      readonly path: string;
      readonly executable: boolean;
      readonly content: Uint8Array;
    }
  | { readonly type: 'link'; readonly path: string; readonly target: string };

const BLOCK_BYTES = 512;
/** Of a path in a ustar header; longer ones go into a record of their own (pax). */
const MAX_NAME_BYTES = 100;

/** The archive in pieces: POSIX ustar, with pax records for long paths (pubs.opengroup.org, `pax`, "Extended Description"). */
export function* tarStream(entries: Iterable<TarEntry>): Generator<Uint8Array> {
  for (const entry of entries) {
    const records = [
      ...(Buffer.byteLength(entry.path) > MAX_NAME_BYTES ? [paxRecord('path', entry.path)] : []),
      ...(entry.type === 'link' && Buffer.byteLength(entry.target) > MAX_NAME_BYTES
        ? [paxRecord('linkpath', entry.target)]
        : []),
    ];
    if (records.length > 0) {
      const pax = Buffer.from(records.join(''));
      yield header('PaxHeader', 'x', 0o644, pax.length);
      yield pax;
      yield padding(pax.length);
    }
    if (entry.type === 'link') {
      yield header(entry.path, '2', 0o777, 0, entry.target);
      continue;
    }
    yield header(entry.path, '0', entry.executable ? 0o755 : 0o644, entry.content.length);
    yield entry.content;
    yield padding(entry.content.length);
  }
  yield new Uint8Array(2 * BLOCK_BYTES);
}

/** `LENGTH KEY=VALUE\n`, where the length counts itself. */
function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  const bytes = Buffer.byteLength(rest);
  let length = bytes + String(bytes).length;
  if (bytes + String(length).length !== length) length = bytes + String(length).length;
  return `${length}${rest}`;
}

function header(path: string, type: '0' | '2' | 'x', mode: number, size: number, target = ''): Uint8Array {
  const block = Buffer.alloc(BLOCK_BYTES);
  const octal = (value: number, digits: number) => value.toString(8).padStart(digits, '0');
  Buffer.from(path).copy(block, 0, 0, MAX_NAME_BYTES);
  block.write(octal(mode, 7), 100);
  block.write(octal(0, 7), 108);
  block.write(octal(0, 7), 116);
  block.write(octal(size, 11), 124);
  block.write(octal(0, 11), 136);
  block.write(' '.repeat(8), 148);
  block.write(type, 156);
  Buffer.from(target).copy(block, 157, 0, MAX_NAME_BYTES);
  block.write('ustar\0', 257);
  block.write('00', 263);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${octal(sum, 6)}\0 `, 148);
  return block;
}

function padding(size: number): Uint8Array {
  return new Uint8Array((BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES);
}
