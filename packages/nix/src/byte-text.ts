import { isUtf8 } from 'node:buffer';

/*
 * Nix strings are bytes, JavaScript strings are not. Valid UTF-8 is read as itself; every byte that is not part
 * of valid UTF-8 becomes one lone surrogate U+DC80..U+DCFF (Python's "surrogateescape", PEP 383), which no valid
 * UTF-8 decodes to. The mapping is reversible, so a derivation with odd bytes in its environment keeps its hash.
 */

// biome-ignore lint/suspicious/noControlCharactersInRegex: "only ASCII" is exactly this range.
const ASCII = /^[\x00-\x7f]*$/;

/** Reads bytes that were decoded as latin1 (one character a byte) as reversible text. */
export function textOfLatin1(latin1: string): string {
  return ASCII.test(latin1) ? latin1 : textOfBytes(Buffer.from(latin1, 'latin1'));
}

/** Reads bytes as text, reversibly: see {@link bytesOfText}. */
export function textOfBytes(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (isUtf8(buffer)) return buffer.toString('utf8');
  let text = '';
  for (let at = 0; at < buffer.length; ) {
    const length = utf8Length(buffer[at]!);
    const character = buffer.subarray(at, at + length);
    if (length > 0 && character.length === length && isUtf8(character)) {
      text += character.toString('utf8');
      at += length;
    } else {
      text += String.fromCharCode(0xdc00 + buffer[at]!);
      at += 1;
    }
  }
  return text;
}

/** The bytes of a text made by {@link textOfBytes}; ordinary strings give their UTF-8. */
export function bytesOfText(text: string): Buffer {
  if (text.isWellFormed()) return Buffer.from(text, 'utf8');
  const parts: Buffer[] = [];
  for (const run of text.split(/([\ud800-\udbff][\udc00-\udfff]|[\udc80-\udcff])/)) {
    const escaped = run.length === 1 ? run.charCodeAt(0) : 0;
    parts.push(
      escaped >= 0xdc80 && escaped <= 0xdcff ? Buffer.of(escaped - 0xdc00) : Buffer.from(run, 'utf8'),
    );
  }
  return Buffer.concat(parts);
}

/** Bytes in the UTF-8 sequence that starts with this byte; 0 where none can. */
function utf8Length(first: number): number {
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first < 0xe0) return 2;
  if (first >= 0xe0 && first < 0xf0) return 3;
  if (first >= 0xf0 && first < 0xf5) return 4;
  return 0;
}
