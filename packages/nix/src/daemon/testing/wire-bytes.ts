/**
 * Bytes as the worker protocol has them, made independently of the code under test: a number is 8 bytes
 * little-endian, a string its length, its bytes and zeros up to a multiple of 8.
 */
export function wire(...values: readonly (number | bigint | string)[]): Buffer {
  return Buffer.concat(
    values.map((value) => {
      if (typeof value === 'string') {
        const bytes = Buffer.from(value);
        return Buffer.concat([wire(bytes.length), bytes, Buffer.alloc((8 - (bytes.length % 8)) % 8)]);
      }
      const number = Buffer.alloc(8);
      number.writeBigUInt64LE(BigInt(value));
      return number;
    }),
  );
}
