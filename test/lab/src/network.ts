import { execFile, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { promisify } from 'node:util';
import { type CableFaults, RELAY } from './cable.ts';
import { BOOT_TIMEOUT_MS, HOST_PATH } from './constants.ts';
import { LabError } from './errors.ts';
import { LineStream } from './line-stream.ts';

const run = promisify(execFile);

/**
 * Devices of one host's cable, in the network of the supervisor: `p2` is its end of the cable, in bridge `br0` (or the
 * one of its part of a split LAN). A bad cable goes round: `p2` in bridge `s2`, relay from `a2` to `b2`, `b2` in `br0`.
 */
const PORT_FUNCTIONS = `
exists() { ip link show "$1" >/dev/null 2>&1; }
uplink() { if exists "b\${1#p}"; then echo "b\${1#p}"; else echo "$1"; fi; }
master() { ip -o link show "$1" | sed -n 's/.* master \\([^ ]*\\).*/\\1/p'; }
bridge() { exists "$1" || ip link add "$1" type bridge mcast_snooping 0; ip link set "$1" up; }
join() { ip link set "$1" master "$2" up; [ -n "$MULTICAST" ] || ip link set "$1" type bridge_slave mcast_flood off; }
`;

/** Puts a host's new cable end where the last one was. Argument: port. */
export const PLUG_IN = `set -e
${PORT_FUNCTIONS}
if exists "b\${1#p}"; then join "$1" "s\${1#p}"; else join "$1" br0; fi`;

const PARTITION = `set -e
${PORT_FUNCTIONS}
b=$1; shift; bridge "$b"; for port; do join "$(uplink "$port")" "$b"; done`;

const ADD_CABLE = `set -e
${PORT_FUNCTIONS}
ip link del "$2" 2>/dev/null || true
ip link add "$2" type veth peer name "$4" netns "/proc/$3/ns/net"
bridge "$1"; join "$2" "$1"`;

const SPOIL = `set -e
${PORT_FUNCTIONS}
n=\${1#p} b=$(master "$1"); bridge "s$n"; join "a$n" "s$n"; join "b$n" "\${b:-br0}"; join "$1" "s$n"`;

const MEND = `set -e
${PORT_FUNCTIONS}
n=\${1#p}; exists "s$n" || exit 0
b=$(master "b$n" 2>/dev/null)
# Deleting one device ends the relay, and with it the other.
ip link del "a$n" 2>/dev/null || true
ip link del "b$n" 2>/dev/null || true
join "$1" "\${b:-br0}"; ip link del "s$n"`;

/** The bridge that is a LAN of this name; device names are short. */
function bridgeOf(lan: string): string {
  if (/^[a-z0-9]{1,8}$/.test(lan)) return `lan-${lan}`;
  throw new LabError('LAB_BAD_OPTIONS', `"${lan}" is no name for a LAN: use up to 8 of a-z and 0-9.`);
}

/** The bridge of a lab, seen from its supervisor: where the cables of all hosts end. */
export class Bridge {
  readonly #supervisor: number;
  readonly #multicast: boolean;

  constructor(supervisor: number, multicast: boolean) {
    this.#supervisor = supervisor;
    this.#multicast = multicast;
  }

  async setLink(port: string, state: 'up' | 'down'): Promise<void> {
    await this.#shell('ip link set "$1" "$2"', port, state);
  }

  /** Puts a relay into a cable; one that is there already is replaced. Its Perl is that of the image in `imageDir`. */
  async spoil(port: string, faults: CableFaults, imageDir: string): Promise<void> {
    await this.mend(port);
    const number = port.slice(1);
    const { delayMs, jitterMs, loss, rate } = faults;
    const numbers = [delayMs / 1000, jitterMs / 1000, loss, rate].map(String);
    const devices = [`a${number}`, `b${number}`];
    const start = 'exec 3<>/dev/net/tun 4<>/dev/net/tun; exec chroot "$0" perl -e "$@"';
    const relay = spawn(
      'nsenter',
      [...this.#enter(), 'sh', '-c', start, imageDir, RELAY, ...devices, ...numbers],
      { detached: true, stdio: ['ignore', 'pipe', 'pipe'], env: this.#env() },
    );
    const stderr = new LineStream(relay.stderr);
    try {
      await new LineStream(relay.stdout).waitFor(/^ready$/, BOOT_TIMEOUT_MS);
    } catch (cause) {
      throw new LabError('LAB_COMMAND_FAILED', `A bad cable needs TAP devices: ${stderr.text().trim()}`, {
        cause,
      });
    } finally {
      relay.unref();
      for (const stream of [relay.stdout, relay.stderr]) (stream as Socket).destroy();
    }
    await this.#shell(SPOIL, port);
  }

  /** Takes the relay out of a cable, which ends it; does nothing to a good one. */
  async mend(port: string): Promise<void> {
    await this.#shell(MEND, port);
  }

  /** Joins each group of ports by a bridge of its own: nothing passes between groups, not even a refusal. */
  async partition(groups: readonly (readonly string[])[]): Promise<void> {
    for (const [number, ports] of groups.entries()) await this.#shell(PARTITION, `br${number}`, ...ports);
  }

  /** Puts a cable's end into another LAN, which is made if there is none of this name yet. */
  async move(port: string, lan: string): Promise<void> {
    await this.#shell(PARTITION, bridgeOf(lan), port);
  }

  /** A further cable, from a LAN to a new device of the host whose init is `pid`. */
  async addCable(lan: string, port: string, pid: number, device: string): Promise<void> {
    await this.#shell(ADD_CABLE, bridgeOf(lan), port, String(pid), device);
  }

  async #shell(script: string, ...args: string[]): Promise<void> {
    try {
      await run('nsenter', [...this.#enter(), 'sh', '-c', script, 'sh', ...args], { env: this.#env() });
    } catch (error) {
      const said = (error as { stderr?: string }).stderr?.trim() ?? String(error);
      throw new LabError('LAB_COMMAND_FAILED', `The lab's network refused a change: ${said}`, {
        cause: error,
      });
    }
  }

  // With the PID namespace, so that what is started here ends with the lab.
  #enter(): string[] {
    return ['-t', String(this.#supervisor), '-n', '-p', '--'];
  }

  #env(): Record<string, string> {
    return { PATH: HOST_PATH, MULTICAST: this.#multicast ? '1' : '' };
  }
}
