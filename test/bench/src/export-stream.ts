/** A path in the middle of a stream that `nix-store --import` takes, `data` still to be put in between. */
export interface ExportedFile {
  /** Store path: its name is the caller's, for nothing is computed from its contents. */
  readonly path: string;
  readonly bytes: number;
  readonly references: readonly string[];
}

const NAR_OF_A_FILE = ['nix-archive-1', '(', 'type', 'regular', 'contents'];
const EXPORT_MAGIC = 0x4558494e;
const HASH_LETTERS = '0123456789abcdfghijklmnpqrsvwxyz';

/** A store path that nothing else has: its hash part is `seed` (a whole number) in Nix's letters. */
export function madeUpPath(seed: bigint, name: string): string {
  let hash = '';
  for (let rest = seed; hash.length < 32; rest /= 32n) hash = HASH_LETTERS[Number(rest % 32n)]! + hash;
  return `/nix/store/${hash}-${name}`;
}

/** What comes before and after the bytes of one file: `nix-store --export` of input-addressed paths, without deriver. */
export function aroundFile({ path, bytes, references }: ExportedFile): { before: Buffer; after: Buffer } {
  const before = Buffer.concat([number(1), ...NAR_OF_A_FILE.map(text), number(bytes)]);
  const padding = Buffer.alloc((8 - (bytes % 8)) % 8);
  const refs = [number(references.length), ...references.map(text)];
  const after = [padding, text(')'), number(EXPORT_MAGIC), text(path), ...refs, text(''), number(0)];
  return { before, after: Buffer.concat(after) };
}

/** Ends a stream. */
export const EXPORT_END = number(0);

function number(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([number(bytes.length), bytes, Buffer.alloc((8 - (bytes.length % 8)) % 8)]);
}
