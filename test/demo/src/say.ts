/** A line for people, on stdout: the demo's output is what it is for. */
export function say(line = ''): void {
  process.stdout.write(`${line}\n`);
}
