/** A line for whoever watches; stdout is for the table. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
