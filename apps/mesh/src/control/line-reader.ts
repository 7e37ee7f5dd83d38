/**
 * Splits a byte stream into lines (without the newline). A last line without a newline is yielded as well. Throws a
 * `RangeError` at a line longer than `maxBytes`, before holding more than that.
 */
export async function* readLines(
  chunks: AsyncIterable<Uint8Array>,
  maxBytes: number,
): AsyncGenerator<string, void, undefined> {
  let parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(0x0a, start);
      const piece = chunk.subarray(start, end === -1 ? undefined : end);
      length += piece.length;
      if (length > maxBytes) throw new RangeError(`a line is longer than ${maxBytes} bytes`);
      parts.push(piece);
      if (end === -1) break;
      yield Buffer.concat(parts, length).toString('utf8');
      parts = [];
      length = 0;
      start = end + 1;
    }
  }
  if (length > 0) yield Buffer.concat(parts, length).toString('utf8');
}
