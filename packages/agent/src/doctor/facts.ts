import type { ControlResult } from '@mesh/wire';

/** Something that could be found out, or the sentence that says why not. */
export type Known<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: string };

/** What Nix says of itself; of `NixSystemInfo` what matters here. */
export interface NixFacts {
  readonly version: string;
  readonly sandbox: boolean | 'relaxed';
  readonly maxJobs: number;
  readonly minFreeBytes: number;
}

/** How multicast DNS does on one interface. */
export interface MulticastFacts {
  readonly interface: string;
  readonly address: string;
  /** Why nothing could be sent there. */
  readonly error?: string;
  /** The own question came back, as multicast does on the sender. */
  readonly heardItself: boolean;
  /** Addresses whose agents answered; the own address is the own agent's. */
  readonly answers: readonly string[];
}

/** A member that is not connected, called at the addresses it had. */
export interface AbsentMember {
  readonly name: string;
  readonly calls: readonly { readonly address: string; readonly outcome: 'answers' | 'refused' | 'silent' }[];
}

/** What the running agent says. */
export interface AgentFacts {
  readonly status: ControlResult<'status'>;
  readonly peers: ControlResult<'peers'>;
  readonly cache: ControlResult<'cache-status'>;
  readonly doctor: ControlResult<'doctor'>;
}

/** Of the folder with the agent's identity. */
export interface StateDirFacts {
  readonly path: string;
  /** Undefined where there is none yet, or this user may not look. */
  readonly mode?: number;
  readonly uid?: number;
  readonly mayLook: boolean;
}

/** All that the checks look at. */
export interface DoctorFacts {
  readonly platform: NodeJS.Platform;
  readonly commandVersion: string;
  readonly uid: number;
  readonly nix: Known<NixFacts>;
  /** How nix-daemon takes the user who asks. */
  readonly daemon: Known<{ readonly trust: 'trusted' | 'untrusted' | 'unknown' }>;
  readonly agent: Known<AgentFacts>;
  /** Whether somebody answers at the agent's TCP port, called at the address it says. */
  readonly port: { readonly address: string; readonly open: boolean } | undefined;
  /** The agent's socket for plain Nix. */
  readonly nixSocket: 'answers' | 'absent' | 'refused' | 'unknown';
  readonly config: Known<true>;
  readonly stateDir: StateDirFacts;
  readonly storeFreeBytes: number | undefined;
  readonly stateFreeBytes: number | undefined;
  readonly memoryAvailableBytes: number | undefined;
  readonly inotify: { readonly watches: number; readonly instances: number } | undefined;
  /** Undefined where discovery is switched off, or nobody wanted to know. */
  readonly multicast: readonly MulticastFacts[] | undefined;
  readonly absent: readonly AbsentMember[];
}
