import { NixError, quote } from './errors.ts';

/** Nix's own base-32 alphabet: digits and lower-case letters without e, o, t, u. */
const ALPHABET = '0123456789abcdfghijklmnpqrsvwxyz';

const VALUE_OF = new Map([...ALPHABET].map((character, value) => [character, value]));

/**
 * Encodes bytes as Nix does: five bits a character, the *last* bits first.
 * Source: Nix manual, "Nix32 encoding".
 */
export function encodeBase32(bytes: Uint8Array): string {
  const length = Math.ceil((bytes.length * 8) / 5);
  let text = '';
  for (let digit = length - 1; digit >= 0; digit--) {
    const bit = digit * 5;
    const index = bit >>> 3;
    const shift = bit & 7;
    const value = ((bytes[index] ?? 0) >>> shift) | ((bytes[index + 1] ?? 0) << (8 - shift));
    text += ALPHABET[value & 31];
  }
  return text;
}

/**
 * The reverse of {@link encodeBase32}.
 * @throws NixError NIX_BAD_BASE32 for a foreign character, an impossible length or set padding bits.
 */
export function decodeBase32(text: string): Uint8Array {
  const size = Math.floor((text.length * 5) / 8);
  if (Math.ceil((size * 8) / 5) !== text.length) {
    throw new NixError('NIX_BAD_BASE32', `${quote(text)} has a length no Nix base-32 text can have.`);
  }
  const bytes = new Uint8Array(size);
  for (let digit = 0; digit < text.length; digit++) {
    const value = VALUE_OF.get(text[text.length - 1 - digit]!);
    if (value === undefined) {
      throw new NixError(
        'NIX_BAD_BASE32',
        `${quote(text)} holds a character outside Nix's base-32 alphabet.`,
      );
    }
    const bit = digit * 5;
    const index = bit >>> 3;
    const shift = bit & 7;
    if (index < size) bytes[index]! |= (value << shift) & 0xff;
    const carry = value >>> (8 - shift);
    if (index + 1 < size) bytes[index + 1]! |= carry;
    else if (carry !== 0 || index >= size) {
      throw new NixError('NIX_BAD_BASE32', `${quote(text)} has bits set after its last byte.`);
    }
  }
  return bytes;
}
