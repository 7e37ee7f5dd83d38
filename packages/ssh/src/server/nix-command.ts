/** What a front door does with a command line. */
export type AskedCommand =
  /** The worker protocol on stdin and stdout. */
  { readonly type: 'daemon' } | { readonly type: 'refused'; readonly reason: string };

/** `nix-daemon --stdio` and `nix daemon --stdio`, from any folder, as Nix's `ssh-ng://` asks for them. */
const DAEMON = /^(?:[\w./+-]*\/)?(?:nix-daemon|nix daemon) --stdio$/;
const LEGACY = /^(?:[\w./+-]*\/)?nix-store --serve\b/;

export function askedCommand(line: string): AskedCommand {
  // Nothing is run, so quotes change nothing.
  const command = line.replaceAll("'", '').trim();
  if (DAEMON.test(command)) return { type: 'daemon' };
  const reason = LEGACY.test(command)
    ? 'the front door of the mesh speaks ssh-ng:// alone; write ssh-ng:// in place of ssh:// in the address of this builder or store.'
    : 'the front door of the mesh runs `nix-daemon --stdio` and nothing else; use it as ssh-ng:// store or builder of Nix.';
  return { type: 'refused', reason };
}
